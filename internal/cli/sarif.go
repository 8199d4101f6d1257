package cli

import (
	"encoding/json"
	"io"
	"path/filepath"

	"github.com/kaname-lb/kaname/internal/config/lint"
	"github.com/kaname-lb/kaname/internal/finding"
)

// The parts of SARIF 2.1.0 (OASIS) that code hosts show.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool    sarifTool     `json:"tool"`
		Results []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID   string    `json:"id"`
		Name string    `json:"name"`
		Text sarifText `json:"shortDescription"`
		Full sarifText `json:"fullDescription"`
		Help sarifText `json:"help"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID    string          `json:"ruleId"`
		Level     string          `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations,omitempty"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		Line int `json:"startLine"`
		Col  int `json:"startColumn,omitempty"`
	}
)

// writeSARIF prints findings as one run of SARIF 2.1.0. A finding without a page
// has its rule's name as id.
func writeSARIF(w io.Writer, fs []finding.Finding) error {
	run := sarifRun{Tool: sarifTool{sarifDriver{Name: "kaname check", Version: Version()}}, Results: []sarifResult{}}
	used := map[string]bool{}
	for _, f := range fs {
		used[f.ID] = true
		run.Results = append(run.Results, sarifResultOf(f))
	}
	for p := range lint.Pages() {
		if used[p.ID] {
			run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{p.ID, p.Rule, sarifText{p.Summary}, sarifText{p.Text}, sarifText{p.String()}})
		}
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(sarifLog{
		Schema:  "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json",
		Version: "2.1.0", Runs: []sarifRun{run},
	})
}

func sarifResultOf(f finding.Finding) sarifResult {
	r := sarifResult{RuleID: f.ID, Level: f.Severity.String(), Message: sarifText{f.What}}
	if r.RuleID == "" {
		r.RuleID = f.Rule
	}
	if f.Evidence != "" {
		r.Message.Text += " (" + f.Evidence + ")"
	}
	if f.Fix != "" {
		r.Message.Text += ". Fix: " + f.Fix
	}
	if f.Where.File != "" {
		at := sarifPhysical{Artifact: sarifArtifact{filepath.ToSlash(f.Where.File)}}
		if f.Where.Line > 0 {
			at.Region = &sarifRegion{f.Where.Line, f.Where.Col}
		}
		r.Locations = []sarifLocation{{at}}
	}
	return r
}
