package config_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kaname-lb/kaname/internal/config"
	"github.com/kaname-lb/kaname/internal/config/syntax"
)

// TestKeywordsDoc wants docs/keywords.md to be what the tables say; -update
// writes it.
func TestKeywordsDoc(t *testing.T) {
	const name = "../../docs/keywords.md"
	want := keywordsDoc()
	if *update {
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(got), want); d != "" {
		t.Errorf("docs/keywords.md is not generated from these tables; run go test ./internal/config -run TestKeywordsDoc -update\n%s", d)
	}
}

const keywordsHead = `# Keywords

## Name

Every keyword of keepalived.conf, and what kaname does with it.

## Description

All 531 keywords of keepalived 2.2.7 and of its newest source are known: read, checked and typed. **runs** means that
kaname carries it out; **later** that it does not yet, which one warning tells at every use; **never** that it is
accepted, has no effect here on purpose, and why. A value out of range is reported at its column with what is used
instead. *Old* names the spelling of today (kaname fmt --modern writes it). Generated from internal/config/keywords.

`

func keywordsDoc() string {
	var b strings.Builder
	b.WriteString(keywordsHead)
	count := map[string]int{}
	block, first := "", true
	for k := range config.Keywords() {
		count[standing(k)]++
		if k.Block != block || first {
			block, first = k.Block, false
			title := block
			if title == "" {
				title = "outside all blocks"
			}
			fmt.Fprintf(&b, "\n## %s\n\n| keyword | value | default | standing | meaning |\n|---|---|---|---|---|\n", title)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", k.Name, cell(value(k)), cell(k.Default), cell(strings.TrimSuffix(standing(k)+": "+k.Effect, ": ")), cell(k.Meaning+old(k)))
	}
	fmt.Fprintf(&b, "\n%d run, %d come later, %d never will.\n", count["runs"], count["later"], count["never"])
	return b.String()
}

func standing(k *config.Keyword) string {
	return map[config.Standing]string{config.Runs: "runs", config.Later: "later", config.Never: "never"}[k.Standing]
}

// value is what stands behind a keyword.
func value(k *config.Keyword) string {
	switch k.Shape {
	case syntax.Block:
		return "a block"
	case syntax.ValueBlock:
		return "a block, one entry a line"
	}
	s := string(k.Args)
	if k.Args == config.ArgNone {
		return "–"
	}
	if k.Args == config.ArgSpecial {
		s = "words"
	}
	if k.Range != "" {
		s += " " + k.Range
	}
	if k.Unit != "" {
		s += " " + k.Unit
	}
	if k.Optional {
		s = "[" + s + "]"
	}
	return s
}

func old(k *config.Keyword) string {
	switch {
	case k.Old && k.Same != "":
		return " (old: " + k.Same + ")"
	case !k.In227:
		return " (newer than 2.2.7)"
	}
	return ""
}

func cell(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "|", "\\|"), "<", "&lt;")
}
