package main

//go:generate ../tools/terraform-docs/generate.sh
