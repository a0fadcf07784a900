package core

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"text/template"
	"unicode"
)

// Of much output the first and the last is kept, and no part of a secret, wherever it
// was cut.
func TestKeptOutput(t *testing.T) {
	const secret = "hunter2-and-more"
	for _, before := range []int{0, 100, int(keptOutput) - 5, int(keptOutput) - len(secret), int(keptOutput)} {
		for _, after := range []int{0, int(keptOutput) - 5, int(keptOutput), 1 << 20} {
			var o output
			fmt.Fprintf(&o, "%s%s\x1b[31m%s", strings.Repeat("a", before), secret, strings.Repeat("z", after))
			text := o.text([]string{secret})
			if strings.Contains(text, "hunt") || strings.Contains(text, "more") || strings.ContainsRune(text, '\x1b') || len(text) > 2*int(keptOutput)+100 {
				t.Errorf("%d before it and %d after: %d bytes, …%q", before, after, len(text), text[max(0, min(len(text), before)-20):min(len(text), before+60)])
			}
		}
	}
}

// However much is said, little is held.
func TestFloodIsNotHeld(t *testing.T) {
	var o output
	for range 100 << 20 >> 15 {
		if n, err := o.Write(make([]byte, 1<<15)); n != 1<<15 || err != nil {
			t.Fatal(n, err)
		}
		if held := cap(o.head) + cap(o.tail); held > 8*int(keptOutput) {
			t.Fatalf("it holds %d bytes", held)
		}
	}
	if text := o.text(nil); !strings.Contains(text, "100 MiB left out") {
		t.Errorf("it says %q", text)
	}
}

// A secret of several lines is cut anywhere, too, and so are two of which one begins as the
// other ends.
func TestCutSecretsOfSeveralLines(t *testing.T) {
	key := "-----BEGIN KEY-----\nhunter2hunter2\nhunter3hunter3\n-----END KEY-----\n"
	secrets := append(sayable(key), sayable("r2hunter-sesame")...)
	for cut := range len(key) {
		var o output
		fmt.Fprintf(&o, "%s%s%s", strings.Repeat(".", int(keptOutput)-cut), key, strings.Repeat(".", int(keptOutput)))
		end := output{gap: true}
		fmt.Fprintf(&end, "%s%s", key, strings.Repeat(".", int(keptOutput)-cut))
		for _, text := range []string{o.text(secrets), end.text(secrets)} {
			if strings.ContainsFunc(strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(text, hidden, ""), "left out", ""), "…", ""), func(r rune) bool { return r >= 'a' && r <= 'z' }) {
				t.Errorf("cut after %d: %q", cut, strings.Trim(text, "."))
			}
		}
	}
}

// What is told while a step goes on is what it said last, and never a part of a secret.
func TestSaidSoFar(t *testing.T) {
	secrets := []string{"hunter2-and-more"}
	var o output
	o.Lately([]byte("ter2-and-more\none\ntwo hun"))
	if got := o.soFar(secrets); got != `"one", "two (secret)"` {
		t.Errorf("%s", got)
	}
	fmt.Fprint(&o, "begins with hunter2-and-more")
	if got := o.soFar(secrets); got != `"begins with (secret)"` {
		t.Errorf("%s", got)
	}
	fmt.Fprint(&o, strings.Repeat("hunter2-and-more", 1<<12))
	if got := o.soFar(secrets); strings.ContainsAny(got, "hunmo") {
		t.Errorf("%s", got)
	}
}

// What comes after a gap is no end of what was before it.
func TestNothingJoinsAcrossAGap(t *testing.T) {
	var o output
	fmt.Fprint(&o, "hunt")
	o.Skip(100)
	fmt.Fprint(&o, "er2")
	if text := o.text([]string{"hunter2"}); strings.Contains(text, "hunt") || strings.Contains(text, "er2") {
		t.Errorf("%q", text)
	}
}

// A secret that ends as it begins is not cut where it begins anew.
func TestSecretsThatEndAsTheyBegin(t *testing.T) {
	secrets := sayable("hunter2-and-hunter")
	var now, head, tail output
	fmt.Fprint(&now, "it is hunter2-and-hunter")
	fmt.Fprint(&head, "it is hunter2-and-hunter")
	head.Skip(100)
	tail.Skip(100)
	fmt.Fprint(&tail, "hunter2-and-hunter it is")
	for _, got := range []string{now.soFar(secrets), head.text(secrets), tail.text(secrets)} {
		if strings.Contains(got, "hunter") || strings.Contains(got, "and") || !strings.Contains(got, hidden) {
			t.Errorf("%q", got)
		}
	}
}

// Of secrets that have a part in common none is told of by what is left of it.
func TestSecretsThatOverlap(t *testing.T) {
	secrets := []string{"hunter2-and", "and-more", "aXa"}
	for text, want := range map[string]string{
		"it is hunter2-and-more!":      "it is (secret)!",
		"aXaXa":                        "(secret)",
		"aXaaXa and-more hunter2-and.": "(secret)(secret) (secret) (secret).",
	} {
		if got := hide(text, secrets); got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
	if got := hide("my secret", []string{"my", "secret"}); got != "(secret) (secret)" {
		t.Errorf("%s", got)
	}
	var o output
	fmt.Fprint(&o, "it is hunter2-and-mo")
	if got := o.soFar(secrets); got != `"it is (secret)"` {
		t.Errorf("%s", got)
	}
}

// A secret is hidden as a whole where another one is its beginning, and so is one of several
// lines, as errors and other programs' output have it.
func TestSecretsInOtherShapes(t *testing.T) {
	key := "-----BEGIN KEY-----\nhunter2hunter2\n-----END KEY-----\n"
	secrets := append(sayable("hunter2"), sayable("hunter2-and-more")...)
	secrets = append(secrets, sayable("hunter\x01\"five")...)
	secrets = append(secrets, sayable(key)...)
	for _, text := range []string{
		"hunter2-and-more", "bad key: hunter2hunter2", "bad key: " + key,
		"hunter\x1b2", "hunter2\x00-and-more", "hunter\x01\"five", `hunter\u0001\"five`, // what is not shown does not part them
		"bad key: " + strings.Join(strings.Fields(key), " "), `{"msg": "` + strings.ReplaceAll(key, "\n", `\n`) + `"}`,
	} {
		var o output
		fmt.Fprint(&o, text)
		if got := o.text(secrets); strings.Contains(got, "hunter") || strings.Contains(got, "more") || strings.Contains(got, "BEGIN") || !strings.Contains(got, hidden) {
			t.Errorf("%q: %q", text, got)
		}
	}
	token := `hunter2/+= "<é`
	address := url.URL{Scheme: "https", Host: "cmdb", Path: "/" + token}
	for _, text := range []string{
		url.QueryEscape(token), url.PathEscape(token), address.String(), template.URLQueryEscaper(token), template.HTMLEscapeString(token), template.JSEscapeString(token),
	} {
		if got := hide(text, sayable(token)); strings.Contains(got, "hunter") || !strings.Contains(got, hidden) {
			t.Errorf("%q: %q", text, got)
		}
	}
	if got := hide("nothing", sayable("")); got != "nothing" {
		t.Errorf("an empty one: %q", got)
	}
}

// A secret with blanks, or with characters that are not shown, is known again in whatever is
// made of them on the way into a line.
func TestSecretsWhoseBlanksChange(t *testing.T) {
	ways := map[string]func(string) string{
		"as it is":    func(s string) string { return s },
		"printable":   printable,
		"in a line":   func(s string) string { return strings.Join(strings.Fields(s), " ") },
		"shown":       func(s string) string { return strings.Join(strings.Fields(printable(s)), " ") },
		"quoted":      strconv.Quote,
		"trimmed":     strings.TrimSpace,
		"of Windows":  func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
		"of terminal": func(s string) string { return string(new(ConsoleFilter).Clean(nil, []byte(s))) },
		"spaced": func(s string) string {
			return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
				if !unicode.IsPrint(r) {
					return ' '
				}
				return r
			}, s)), " ")
		},
	}
	for _, secret := range []string{
		"hunter2\tmore", "hunter2  \t more", "  hunter2  more  ", "hunter2  mo\n", "hunter2\r\n", "hun\rter2", "hunter2\x00\x01more", "hun\x01 \x02ter2", "hun\x1bter2",
		"hun\x1b[31mter2", "hun\u0085ter2", "hun\u2028ter2", "hun\u00a0 ter2", "hunter2 \xffmore", "hun\n\tter2\n",
	} {
		for name, way := range ways {
			made, secrets := "it is >"+way(secret)+"< that it is", sayable(secret)
			var o output
			fmt.Fprint(&o, made)
			err := hiding(errors.New(made), secrets)
			for where, text := range map[string]string{
				"output": o.text(secrets), "so far": o.soFar(secrets), "quoted": lastSaid(o.text(secrets)), "error": err.Error(),
				"console": withoutWords(string(new(ConsoleFilter).Clean(nil, []byte(made))), []string{secret}),
			} {
				if name == "quoted" && where == "console" {
					continue
				}
				for _, part := range []string{"hun", "ter2", "mo"} {
					if strings.Contains(text, part) {
						t.Errorf("%q %s: %s tells %q", secret, name, where, text)
					}
				}
			}
		}
	}
}

// What never came here is counted with what was left out.
func TestOutputWithAGap(t *testing.T) {
	var o output
	fmt.Fprint(&o, strings.Repeat("a", 20<<10))
	o.Skip(100 << 10)
	fmt.Fprint(&o, strings.Repeat("z", 20<<10))
	text := o.text(nil)
	if want := strings.Repeat("a", 16<<10) + "\n… 108 KiB left out …\n" + strings.Repeat("z", 16<<10); text != want {
		t.Errorf("%d bytes: %q", len(text), strings.Trim(text, "az"))
	}
}

func TestLastSaid(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "",
		"one":                               `"one"`,
		"one\n\ntwo\n \n":                   `"one", "two"`,
		"a\nb\nc\n":                         `"b", "c"`,
		strings.Repeat("x", 1000) + "\nend": `"` + strings.Repeat("x", tailWidth) + `…", "end"`,
	} {
		if got := lastSaid(text); got != want {
			t.Errorf("%.40q ends with %q, want %q", text, got, want)
		}
	}
}
