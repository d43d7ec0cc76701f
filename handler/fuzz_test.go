package handler

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"twofa/internal/channel"
	"twofa/internal/problem"
	"twofa/otpsend"
	"twofa/otpverify"
	"twofa/users"
)

// targets returns new values of the types that are decoded.
func targets() []any {
	return []any{new(otpsend.Request), new(otpsend.ResendRequest), new(otpverify.Request), new(users.Request)}
}

// wantAnswerable fails unless the error has one of the kinds and becomes a whole
// answer.
func wantAnswerable(t *testing.T, err error, kinds ...problem.Kind) {
	t.Helper()
	e, _ := errors.AsType[*problem.Error](err)
	if !problem.Is(err, kinds...) {
		t.Fatalf("error %T: %v, want one of %v", err, err, kinds)
	}
	if e.Detail == "" && len(e.Fields) == 0 {
		t.Fatalf("%s does not say what is wrong", e.Kind)
	}
	if e.Err != nil {
		t.Fatalf("the error has a cause for the log, which may quote the input: %v", e.Err)
	}
	w := httptest.NewRecorder()
	status := respond(w, answer{}, e)
	var p problemJSON
	if status != statusOf[e.Kind].status || json.Unmarshal(w.Body.Bytes(), &p) != nil || p.Type != "urn:twofa:"+string(e.Kind) {
		t.Fatalf("answered %d %s", status, w.Body)
	}
	if len(w.Body.Bytes()) > 2<<10 {
		t.Fatalf("an answer of %d bytes", w.Body.Len())
	}
}

// texts collects all texts of a decoded struct, by their names in a form.
func texts(v reflect.Value, prefix string, into map[string]string) {
	for i := range v.NumField() {
		name := prefix + v.Type().Field(i).Tag.Get("json")
		switch f := v.Field(i); f.Kind() {
		case reflect.Struct:
			texts(f, name+".", into)
		case reflect.Slice:
			into[name] = strings.Join(list(f), ",")
		case reflect.Bool:
			if into[name] = ""; f.Bool() {
				into[name] = "true"
			}
		default:
			into[name] = f.String()
		}
	}
}

func FuzzDecodeJSON(f *testing.F) {
	for _, seed := range []string{
		`{"to":"+14155550123","channel":"whatsapp","purpose":"login","locale":"en","context":{"amount":"EUR 25.00","payee":"Acme"},"client_ip":"203.0.113.9"}`,
		`{"id":"VE0123456789abcdef0123456789abcdef","code":"123456"}`, `{"id":"VE0","receipt":true}`, `{"receipt":"true"}`, `{"receipt":null}`, `{"receipt":1}`, `{"to":"+1","to":"+2"}`, `{"\u0074o":"+1"}`, `{"context":{"amount":"1","amount":"2"}}`,
		`{"to":null,"context":null}`, `{"to":1}`, `[]`, `{}{}`, "", " ", "\xff", "{\"\xff\":1}", `{"":""}`, `{"~/":{"~1":1}}`, `{"to":"\ud800"}`,
		"\ufeff{}", "\ufeff\ufeff{\"to\":\"+1\"}", "\ufeff", "{\x00}\x00", "\xff\xfe{\x00", "\x00{\x00}", "\x00\x00\x00{",
		strings.Repeat(`{"context":`, 100), `{"channel":"` + strings.Repeat("[", 100) + `"}`, `{"context":` + strings.Repeat("[", 10001),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for i, into := range targets() {
			err := decodeJSON(body, into)
			if err != nil {
				wantAnswerable(t, err, problem.InvalidRequest)
				continue
			}
			// The standard library is more lenient but for byte order marks, and reads the same.
			other := targets()[i]
			if err := json.Unmarshal(withoutMark(body), other); err != nil || !reflect.DeepEqual(into, other) {
				t.Fatalf("%q was read as %+v, by encoding/json as %+v: %v", body, into, other, err)
			}
			wantFormAgrees(t, into, i)
		}
	})
}

// wantFormAgrees writes a decoded request as a form, and decodes that.
func wantFormAgrees(t *testing.T, decoded any, target int) {
	t.Helper()
	members, values := make(map[string]string), make(url.Values)
	texts(reflect.ValueOf(decoded).Elem(), "", members)
	for name, text := range members {
		if (name == "to" || name == "phone") && strings.HasPrefix(text, " ") {
			return // a form refuses this as a + that was not escaped
		}
		if name == "channels" {
			if members := list(reflect.ValueOf(decoded).Elem().FieldByName("Channels")); !slices.Equal(members, strings.Split(text, ",")) {
				if len(members) > 0 {
					return // a form cannot have a comma in a member of the list
				}
				continue
			}
		}
		values.Set(name, text)
	}
	other := targets()[target]
	if err := decodeForm([]byte(values.Encode()), other); err != nil || !reflect.DeepEqual(decoded, other) {
		t.Fatalf("JSON was read as %+v, the form %q as %+v: %v", decoded, values.Encode(), other, err)
	}
}

// withoutMark cuts byte order marks before a body.
func withoutMark(body []byte) []byte {
	for bytes.HasPrefix(body, []byte("\ufeff")) {
		body = bytes.TrimPrefix(body, []byte("\ufeff"))
	}
	return body
}

var encodedMarkPattern = regexp.MustCompile("^(?i:%ef%bb%bf)")

// list returns the texts of a decoded list.
func list(v reflect.Value) (texts []string) {
	for _, c := range v.Interface().([]channel.Channel) {
		texts = append(texts, string(c))
	}
	return texts
}

func FuzzDecodeForm(f *testing.F) {
	for _, seed := range []string{
		"to=%2B14155550123&channel=whatsapp&purpose=login&locale=en&context.amount=EUR+25.00&context.payee=Acme&client_ip=203.0.113.9",
		"id=VE0123456789abcdef0123456789abcdef&code=123456", "id=VE0&receipt=true", "receipt=false", "receipt=", "receipt=yes", "to=+1", "to=1&to=2", "context=1&context.amount=2", "context.amount.x=1", ".=", "=", "a.=1", ".a=1",
		"%ff=1", "to=%ff", "to=%4", "a;b", "", " ", "&", "&&", `{"to":"+1"}`, "context.amount=1&context.amount=2", "to", "code=%00",
		"\ufeffto=1", "%EF%BB%BFto=1", "%ef%BB%bfto=1&to=2", "\ufeff%EF%BB%BFto=1", "\xff\xfet\x00", "t\x00o\x00",
		"user=a&channels=whatsapp,sms", "channels=", "channels=,", "channels.0=a&channels=b", "name=a&phone=%2B1&email=a%40b.c",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for i, into := range targets() {
			err := decodeForm(body, into)
			if err != nil {
				wantAnswerable(t, err, problem.InvalidRequest)
				continue
			}
			values, err := url.ParseQuery(encodedMarkPattern.ReplaceAllString(string(withoutMark(body)), ""))
			if err != nil {
				t.Fatalf("%q was read, and is not a form: %v", body, err)
			}
			members := make(map[string]string)
			texts(reflect.ValueOf(into).Elem(), "", members)
			for name, all := range values {
				if name == "receipt" && len(all) == 1 && all[0] == "false" {
					all[0] = "" // the same
				}
				if text, ok := members[name]; !ok || len(all) != 1 || text != all[0] {
					t.Fatalf("%q: %s was read as %q", body, name, text)
				}
				delete(members, name)
			}
			for name, text := range members {
				if text != "" {
					t.Fatalf("%q: %s became %q, but the form has no such name", body, name, text)
				}
			}
			// The same request as JSON is the same.
			asJSON, err := json.Marshal(into)
			if err != nil {
				t.Fatal(err)
			}
			other := targets()[i]
			if err := decodeJSON(asJSON, other); err != nil || !reflect.DeepEqual(into, other) {
				t.Fatalf("the form was read as %+v, JSON as %+v: %v", into, other, err)
			}
		}
	})
}

func FuzzTimerEnvelope(f *testing.F) {
	for _, seed := range []string{
		`{"Data": {"timer": {"Schedule": {"AdjustForDST": true}, "ScheduleStatus": {"Last": "0001-01-01T00:00:00", "Next": "x"}, "IsPastDue": true}}, "Metadata": {"sys": {"MethodName": "purge"}}}`,
		`{"Data": {"timer": {"ScheduleStatus": null}}}`, `{"Data": {"timer": null}}`, `{"Data": null}`, `{}`, " {} ", "null", "", "[]", `{"Data": {"timer": {"IsPastDue": "true"}}}`,
		`{"data": {"TIMER": {"ispastdue": true}}}`, strings.Repeat(`{"Data":`, 100), "{\"\xff\":0}", `{"Data":{},"Data":{}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		call, err := readInvocation(body)
		if err != nil {
			if call.pastDue() {
				t.Fatal("an envelope that was refused is past due")
			}
			wantAnswerable(t, err, problem.InvalidRequest, problem.PayloadTooLarge)
			return
		}
		var other map[string]any
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.UseNumber() // parts that are not read may have a number of any size
		if err := decoder.Decode(&other); err != nil {
			t.Fatalf("%q was read, and encoding/json says %v", body, err)
		}
		data, _ := other["Data"].(map[string]any)
		timer, _ := data["timer"].(map[string]any)
		if pastDue, _ := timer["IsPastDue"].(bool); call.pastDue() != pastDue {
			t.Fatalf("%q was read as past due: %t", body, call.pastDue())
		}
	})
}
