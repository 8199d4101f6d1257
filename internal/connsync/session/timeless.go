package session

// Timeless reports, as a *FilterError, a test whose answer changes without a
// message (age, idle, expire): no event says when it begins to hold, so it
// cannot trigger anything.
func (f *Filter) Timeless() error { return f.checkTimeless() }
