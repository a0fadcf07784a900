package core

import "testing"

func TestPlaybookFault(t *testing.T) {
	const recap = "\nPLAY RECAP *****\nweb-1 : ok=0    changed=0    unreachable=0    failed=1\n"
	for name, tt := range map[string]struct{ said, want string }{
		"a command":       {"TASK [command] ***\nfatal: [web-1]: FAILED! => {\"changed\": true, \"msg\": \"non-zero return code\", \"rc\": 4, \"stderr\": \"\", \"stdout\": \"a\\nno\", \"stdout_lines\": [\"a\", \"no\"]}\n" + recap, `"fatal: [web-1]: FAILED! => non-zero return code, rc 4, stdout: a no"`},
		"after another":   {"fatal: [web-1]: FAILED! => {\"msg\": \"one\"}\n...ignoring\nfatal: [web-1]: UNREACHABLE! => {\"msg\": [\"two\", 2]}\n" + recap, `"fatal: [web-1]: UNREACHABLE! => [two 2]"`},
		"in its own form": {"fatal: [web-1]: FAILED! => (output was hidden)\n" + recap, `"fatal: [web-1]: FAILED! => (output was hidden)"`},
		"no YAML":         {"ERROR! We were unable to read it\nJSON: Expecting value\n\nThe error appears to be in '/p.yml': line 2, column 1, but may\nbe elsewhere.\n\nx: [\n^ here\n", `"ERROR! We were unable to read it", "The error appears to be in '/p.yml': line 2, column 1, but may"`},
		"a newer one":     {"[ERROR]: YAML parsing failed: did not find it.\nOrigin: /p.yml:2:1\n\nx: [\n^ column 1\n", `"[ERROR]: YAML parsing failed: did not find it.", "Origin: /p.yml:2:1"`},
		"without a place": {"ERROR! the role 'x' was not found\nx\ny\n", `"ERROR! the role 'x' was not found"`},
		"something else":  {"a\nb\nc\n", `"b", "c"`},
		"nothing":         {"", ""},
	} {
		if got := playbookFault(tt.said); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}
