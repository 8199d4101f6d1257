package prog

import (
	"crypto/sha256"
	"encoding/hex"
)

// XDPDigest and TCDigest name the two objects by their content: programs that
// were pinned under the same name need not be loaded again.
func XDPDigest() string { return digest(_XDPBytes) }

// TCDigest is the digest of the TC object.
func TCDigest() string { return digest(_TCBytes) }

func digest(object []byte) string {
	sum := sha256.Sum256(object)
	return hex.EncodeToString(sum[:8])
}
