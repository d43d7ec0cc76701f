package pages_test

import (
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"twofa/internal/channel"
	"twofa/internal/client"
	"twofa/internal/notify"
	"twofa/internal/otp"
	"twofa/internal/problem"
	"twofa/internal/session"
	"twofa/internal/testing/fixture"
	"twofa/internal/testing/rig"
	"twofa/otpsend"
	"twofa/otpverify"
	"twofa/users"
)

// saved is an enrolment with an app and recovery codes that was saved, and not fetched.
func (s *site) saved(name string) (began users.PageAnswer, result string, codes []string) {
	s.TB.Helper()
	began, v := s.enrolling(name)
	v.add("Phone").post("codes")
	codes = v.recoveryCodes()
	v.post("kept", "set", setOf(s.TB, v)).post("save")
	return began, v.returns().Get("result"), codes
}

// The same form with the first code, twice.
func TestEnroll_ConfirmTwice(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.register("alice", aliceByMail)
	_, v := s.enrolling("alice")
	form := v.form("app")
	form.Set("code", s.appCode(v.secret()))
	form.Set("name", "Phone")
	v.submit("app", form)
	v.send("app", form)
	if strings.Contains(v.text(), "That QR code is no longer valid") {
		t.Errorf("the app was added, and the page says: %s", v.text())
	}
}

// The same form twice, for the last app that fits: the text of a QR code that is not there.
func TestEnroll_ConfirmTwiceFull(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.register("alice", aliceByMail)
	_, v := s.enrolling("alice")
	for range 4 {
		v.add("")
	}
	v.post("add")
	form := v.form("app")
	form.Set("code", s.appCode(v.secret()))
	v.submit("app", form)
	v.send("app", form)
	if strings.Contains(v.text(), "Scan this new one") && !strings.Contains(v.page.body, `class="key"`) {
		t.Errorf("no QR code, and the page says: %s", v.text())
	}
}

// Recovery codes whose answer storage loses: the person never saw them, and saves.
func TestR8_CodesThatNobodySawReplaceNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.register("alice", aliceByMail)
	began, result, old := s.saved("alice")
	if _, err := s.take(began, result); err != nil {
		t.Fatal(err)
	}
	began, v := s.enrolling("alice")
	s.Table.Break(rig.FaultAt(2, rig.Lost))
	v.post("codes")
	s.Table.Break(nil)
	if strings.Contains(v.text(), "You have new codes") && !strings.Contains(v.text(), "If you didn't keep them") {
		v.post("save")
		_, err := s.take(began, v.returns().Get("result"))
		_, used := s.fetch("bank", otpverify.Request{User: "alice", Factor: "recovery", Code: old[0]})
		t.Errorf("codes that nobody saw are kept: fetch %v, an old code: %v", err, used)
	}
}

// R27. The user's row is written, its answer is lost, and the app fetches again: the user is told.
func TestR27_ToldAlsoAfterALostAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.register("alice", aliceByMail)
	began, result, _ := s.saved("alice")
	s.Table.Break(rig.FaultAt(4, rig.Lost)) // the write of the user's row
	_, err := s.take(began, result)
	s.Table.Break(nil)
	s.Refused(err, problem.StorageUnavailable)
	if len(s.apps("alice")) != 1 || len(s.notices()) != 0 {
		t.Fatalf("the fault is at another step: apps %q, notices %q", s.apps("alice"), s.notices())
	}
	a, err := s.take(began, result)
	if err != nil || !a.Notified || len(s.notices()) != 1 {
		t.Errorf("%+v, %v, notices %q", a.Applied, err, s.notices())
	}
}

// A set that was made after a fetch whose last answer was lost is not replaced by the older one.
func TestEnroll_OlderCodesReplaceNoNewer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.register("alice", aliceByMail)
	began, result, _ := s.saved("alice")
	s.Table.Break(rig.FaultAt(6, rig.Down))
	_, err := s.take(began, result)
	s.Table.Break(nil)
	s.Refused(err, problem.StorageUnavailable)
	s.Advance(time.Minute)
	made, err := s.API.Users.MakeRecoveryCodes(client.With(s.Ctx(), s.as("bank")), "alice")
	if err != nil {
		t.Fatal(err)
	}
	if a, err := s.take(began, result); err != nil || a.NewRecoveryCodes {
		t.Errorf("%+v, %v", a.Applied, err)
	}
	if _, err := s.fetch("bank", otpverify.Request{User: "alice", Factor: "recovery", Code: made.Codes[0]}); err != nil {
		t.Errorf("the newest set is dead: %v", err)
	}
}

// Four apps, and one that waits for its code in the API: the page offers a place that the fetch
// refuses, after "Saved".
func TestEnroll_PendingOfTheAPI(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.register("alice", aliceByMail)
	began, v := s.enrolling("alice")
	for range 4 {
		v.add("")
	}
	v.post("save")
	if _, err := s.take(began, v.returns().Get("result")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.API.Users.Enroll(client.With(s.Ctx(), s.as("bank")), "alice", users.EnrollRequest{}); err != nil {
		t.Fatal(err)
	}
	began, v = s.enrolling("alice")
	v.add("Fifth").post("save").sees("Almost done")
	if _, err := s.take(began, v.returns().Get("result")); err != nil {
		t.Errorf("after Saved: %v", err)
	}
}

// Attack 41. A thief finishes a stolen page, and gives the result to the person's browser, whose
// app has the state: after any form of the person, there is nothing to fetch.
func TestAttack41_AThiefGivesTheResultBack(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"begin", "cancel"} {
		s := newSite(t)
		s.register("alice", aliceByMail)
		began := s.enroll("alice")
		alice := s.visitor().open(began.PageURL)
		thief := s.visitor().open(began.PageURL).post("begin").add("Thief's phone").post("save")
		alice.post(form).sees("other browser")
		back := thief.returns() // the thief sends alice the link to the app with this query
		_, err := s.take(began, back.Get("result"))
		s.Refused(err, problem.NotFound)
		if n := s.apps("alice"); n != nil || len(s.notices()) != 0 {
			t.Errorf("%s: the user has %q", form, n)
		}
	}
}

// The answer tells the names that were kept.
func TestEnroll_AnswerNamesOfTheDraft(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.register("alice", aliceByMail)
	first, r1, _ := s.saved("alice")
	second, r2, _ := s.saved("alice")
	if _, err := s.take(first, r1); err != nil {
		t.Fatal(err)
	}
	a, err := s.take(second, r2)
	if err != nil {
		t.Fatal(err)
	}
	if names := s.apps("alice"); a.Added[0].Name != names[1] {
		t.Errorf("added %q, kept %q", a.Added[0].Name, names)
	}
}

// The user is erased while the page is open, or before it begins.
func TestEnroll_ErasedUser(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.register("alice", aliceByMail)
	began := s.enroll("alice")
	v := s.visitor().open(began.PageURL)
	if err := s.API.Users.Delete(client.With(s.Ctx(), s.as("bank")), "alice", users.Conditions{}); err != nil {
		t.Fatal(err)
	}
	v.post("begin")
	if !strings.Contains(v.page.body, s.app.URL) {
		t.Errorf("no way back: %d %s", v.page.status, v.text())
	}
}

// A name that is too long, posted without the attribute maxlength.
func TestEnroll_LongName(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.register("alice", aliceByMail)
	_, v := s.enrolling("alice")
	code := s.appCode(v.secret())
	for _, name := range []string{strings.Repeat("a", 65), strings.Repeat("\U00010348", 65), strings.Repeat("a", 3000)} {
		v.post("app", "code", code, "name", name)
		if !strings.Contains(v.text(), "That name can't be used") {
			t.Errorf("%d characters: no fault: %s", len([]rune(name)), v.text())
		}
	}
	v.post("app", "code", code, "name", strings.Repeat("\U00010348", 64)).sees("The app works")
	v.post("save")
}

// A link in a mail was followed after the code was also sent as a text message.
func TestLink_SaysTheChannelOfTheMail(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.register("alice", users.Request{Phone: fixture.Alice, Email: fixture.AliceMail})
	began := s.begin(otpsend.Request{User: "alice", Channels: []channel.Channel{channel.Email, channel.SMS}})
	link := s.mailed().Link
	v := s.visitor().open(began.PageURL).post("help")
	s.Advance(time.Minute)
	v.open(v.page.address)
	form := v.form("resend")
	form.Set("channel", "sms")
	v.send("resend", form)
	if s.Sender(channel.SMS).Last().Code == "" {
		t.Fatalf("no text message was sent: %s", v.text())
	}
	v.open(link).post("").sees("You're verified")
	a, err := s.fetch("bank", otpverify.Request{Session: began.Session, State: state, Result: v.returns().Get("result")})
	if err != nil || a.Channel != channel.Email || a.To != "a******@example.com" || a.PhoneNumber != "" {
		t.Errorf("%+v, %v", a, err)
	}
}

// A mail that was reported as failed, and arrived all the same: its link must not prove the phone.
func TestR18_TheLinkOfAFailedMailProvesNoPhone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ctx := client.With(s.Ctx(), s.as("bank"))
	if _, _, err := s.API.Users.Put(ctx, "alice", users.Request{Phone: fixture.Alice, Email: fixture.AliceMail}, users.Conditions{}); err != nil {
		t.Fatal(err)
	}
	began := s.begin(otpsend.Request{User: "alice", Channels: []channel.Channel{channel.Email, channel.SMS}})
	m := s.mailed()
	v := s.visitor().open(began.PageURL)
	if err := s.Report(m.Verification, 1, otp.Failed, &notify.Failure{Outcome: otp.OutcomeUndeliverable}); err != nil {
		t.Fatal(err)
	}
	if s.Sender(channel.SMS).Last().To != fixture.Alice || s.Sender(channel.Email).Last().Link == "" {
		t.Fatal("no text message follows the mail")
	}
	v.open(m.Link).post("").sees("You're verified")
	a, err := s.fetch("bank", otpverify.Request{Session: began.Session, State: state, Result: v.returns().Get("result")})
	if u := s.Registered("alice"); err != nil || u.PhoneVerified || !u.EmailVerified || a.PhoneNumber != "" || a.Channel != channel.Email {
		t.Errorf("%+v, %v; the phone is verified: %t, the mail: %t", a, err, u.PhoneVerified, u.EmailVerified)
	}
}

// Fifty parallel forms of each kind.
func TestEnroll_FormsAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.register("alice", aliceByMail)
	began := s.enroll("alice")
	v := s.visitor().open(began.PageURL)
	many := func(action string, form url.Values) map[int]int {
		var mu sync.Mutex
		n := map[int]int{}
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				res, err := v.http.Do(s.posted("/verify/enroll/"+action, form))
				if err != nil {
					t.Error(err)
					return
				}
				_ = res.Body.Close()
				mu.Lock()
				n[res.StatusCode]++
				mu.Unlock()
			})
		}
		wg.Wait()
		return n
	}
	want := func(what string, got map[int]int, want map[int]int) {
		t.Helper()
		if !maps.Equal(got, want) {
			t.Errorf("%s: the answers are %v, want %v", what, got, want)
		}
	}
	forms := map[int]int{http.StatusSeeOther: 50}
	want("begin", many("begin", v.form("begin")), forms)
	v.open("/verify/enroll/app?" + strings.SplitN(began.PageURL, "?", 2)[1])
	form := v.form("app")
	form.Set("code", s.appCode(v.secret()))
	want("app", many("app", form), forms)
	v.open(began.PageURL).sees("Authenticator", "New")
	want("codes", many("codes", v.form("codes")), map[int]int{http.StatusOK: 1, http.StatusSeeOther: 49})
	want("save", many("save", v.form("save")), forms)
	v.open(began.PageURL)
	v.open(v.page.header.Get("Location"))
	result := v.returns().Get("result")
	var wg sync.WaitGroup
	var fetched, told atomic.Int64
	for range 20 {
		wg.Go(func() {
			switch a, err := s.take(began, result); {
			case err == nil && a.Notified:
				told.Add(1)
				fetched.Add(1)
			case err == nil:
				fetched.Add(1)
			case !problem.Is(err, problem.AlreadyUsed):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if fetched.Load() != 1 || told.Load() != 1 || len(s.notices()) != 1 || len(s.apps("alice")) != 1 {
		t.Errorf("%d fetches, %d say notified, notices %q, apps %q", fetched.Load(), told.Load(), s.notices(), s.apps("alice"))
	}
}

// The notices or changes of the day are used up between the page and the fetch.
func TestEnroll_FourFullChangesOfADay(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.register("alice", aliceByMail)
	for i := range 4 {
		began, v := s.enrolling("alice")
		if i > 0 {
			v.post("remove", "id", idOf(t, v, "Phone"))
		}
		v.add("Phone")
		v.post("codes").post("kept", "set", setOf(t, v)).post("save").sees("Almost done")
		if _, err := s.take(began, v.returns().Get("result")); err != nil {
			t.Errorf("change %d of the day: %v", i+1, err)
		}
	}
}

// Fifty POSTs of one link at once, in another browser and in the session's.
func TestLink_FormsAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	began := s.byMail()
	own, other := s.visitor().open(began.PageURL), s.visitor()
	m := s.mailed()
	shown, results := 0, map[string]int{}
	var mu sync.Mutex
	post := func(v *visitor, form url.Values) (string, string) {
		res, err := v.http.Do(s.posted("/verify/link", form))
		if err != nil {
			t.Error(err)
			return "", ""
		}
		defer res.Body.Close()
		var b strings.Builder
		_, _ = io.Copy(&b, res.Body)
		return b.String(), res.Header.Get("Location")
	}
	other.open(m.Link)
	form := other.form("")
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if body, _ := post(other, form); strings.Contains(body, m.Code) {
				mu.Lock()
				shown++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if shown != 1 {
		t.Errorf("the code was shown %d times", shown)
	}
	own.open(m.Link)
	form = own.form("")
	for range 50 {
		wg.Go(func() {
			_, to := post(own, form)
			if to == "" {
				mu.Lock()
				results["none"]++
				mu.Unlock()
				return
			}
			v := s.visitor()
			v.http.Jar = own.http.Jar
			v.open(to)
			mu.Lock()
			defer mu.Unlock()
			if m := refresh.FindStringSubmatch(v.page.body); m != nil {
				results[m[1]]++
			} else {
				results[v.text()]++
			}
		})
	}
	wg.Wait()
	if len(results) != 1 {
		t.Errorf("%v", results)
	}
}

// Faults of storage at each step of a link, and then again.
func TestR16_LinksAtEachFault(t *testing.T) {
	for _, f := range []rig.Fault{rig.Down, rig.Lost} {
		for n := 1; n <= 6; n++ {
			s := newSite(t)
			began := s.byMail()
			own, other := s.visitor().open(began.PageURL), s.visitor()
			m := s.mailed()
			other.open(m.Link)
			s.Table.Break(rig.FaultAt(n, f))
			other.post("")
			first := other.text()
			s.Table.Break(nil)
			other.open(m.Link).post("")
			if !strings.Contains(first+other.text(), m.Code) && !strings.Contains(other.text(), "You can still enter the code") {
				t.Errorf("other %d %d: %s; %s", f, n, first, other.text())
			}
			own.open(m.Link)
			s.Table.Break(rig.FaultAt(n, f))
			own.post("")
			first = own.text()
			s.Table.Break(nil)
			if !strings.Contains(first, "You're verified") {
				own.open(m.Link).post("")
			}
			if !strings.Contains(own.text(), "You're verified") {
				t.Errorf("own %d %d: %s; %s", f, n, first, own.text())
			}
		}
	}
}

// Faults of storage at each step of a fetch, alone or from there on, and then again.
func TestR16_FetchOfAnEnrolmentWhileStorageFails(t *testing.T) {
	for _, f := range []rig.Fault{rig.Down, rig.Lost} {
		for n := 1; n <= 7; n++ {
			for name, at := range map[string]func(int, rig.Fault) func(int) rig.Fault{"at": rig.FaultAt, "from": rig.FaultFrom} {
				s := newSite(t)
				s.register("alice", aliceByMail)
				began, result, codes := s.saved("alice")
				s.Table.Break(at(n, f))
				a, err := s.take(began, result)
				s.Table.Break(nil)
				if err != nil {
					a, err = s.take(began, result)
				}
				_, used := s.fetch("bank", otpverify.Request{User: "alice", Factor: "recovery", Code: codes[0]})
				if len(s.notices()) == 0 || len(s.apps("alice")) != 1 || used != nil || err == nil && !a.Notified || err != nil && !problem.Is(err, problem.AlreadyUsed) {
					t.Errorf("%s %d, fault %d: %+v, %v, notices %q, a recovery code: %v", name, n, f, a.Applied, err, s.notices(), used)
				}
			}
		}
	}
}

// The user is erased and registered again between the start of the page and its first form.
func TestEnroll_RegisteredAgainBeforeBegin(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.register("alice", aliceByMail)
	began := s.enroll("alice")
	v := s.visitor().open(began.PageURL)
	ctx := client.With(s.Ctx(), s.as("bank"))
	if err := s.API.Users.Delete(ctx, "alice", users.Conditions{}); err != nil {
		t.Fatal(err)
	}
	s.Advance(time.Second)
	s.register("alice", users.Request{Email: "bob.canary@example.com"})
	v.post("begin")
	if strings.Contains(v.page.body, `class="key"`) {
		v.add("Old person's phone").post("save")
		a, err := s.take(began, v.returns().Get("result"))
		t.Errorf("the page of an erased user changes the new one: %+v %v", a.Applied, err)
	}
}

// An app goes, another one takes its name, and the first is to be kept.
func TestEnroll_KeepWhoseNameIsTaken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.register("alice", aliceByMail)
	began, result, _ := s.saved("alice")
	if _, err := s.take(began, result); err != nil {
		t.Fatal(err)
	}
	_, v := s.enrolling("alice")
	v.post("remove", "id", idOf(t, v, "Phone")).add("Phone")
	i := strings.Index(v.page.body, `name="id" value="`)
	v.post("keep", "id", v.page.body[i+17:i+35])
	if strings.Contains(v.text(), "Choose another one") {
		t.Error("the page asks for another name where no name can be typed")
	}
}

// The name of an app that is taken meanwhile, and cannot be shown with a number at its end.
func TestEnroll_FreeNameThatCannotBeShown(t *testing.T) {
	t.Parallel()
	for what, name := range map[string]string{
		"joiner":    strings.Repeat("a", 59) + "\U0001F469\u200d\U0001F469\u200d\U0001F467",
		"farsi":     strings.Repeat("می\u200cخ", 12),
		"farsi2":    strings.Repeat("م", 60) + "\u200cخ",
		"combining": strings.Repeat("a\u0323\u0301\u0302", 16),
		"space":     strings.Repeat("a", 60) + " bc",
		"emoji":     strings.Repeat("a", 59) + "❤\ufe0fbcd",
	} {
		s := newSite(t)
		s.register("alice", aliceByMail)
		var began [2]users.PageAnswer
		var results [2]string
		ok := true
		for i := range 2 {
			began[i] = s.enroll("alice")
			v := s.visitor().open(began[i].PageURL).post("begin").add(name)
			if ok = strings.Contains(v.text(), "The app works"); !ok {
				break
			}
			v.post("save")
			results[i] = v.returns().Get("result")
		}
		if !ok {
			continue
		}
		for i := range 2 {
			if _, err := s.take(began[i], results[i]); err != nil {
				t.Errorf("%s: fetch %d: %v", what, i, err)
			}
		}
	}
}

// A mail server that reads the mail and then refuses it: its owner has the link and the code, and
// the next message goes to a phone that is somebody else's.
func TestR18_AMailThatWasRefusedProvesNoPhone(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"link", "code"} {
		s := newSite(t)
		ctx := client.With(s.Ctx(), s.as("bank"))
		if _, _, err := s.API.Users.Put(ctx, "mallory", users.Request{Phone: fixture.Alice, Email: "mallory.canary@example.com"}, users.Conditions{}); err != nil {
			t.Fatal(err)
		}
		s.Sender(channel.Email).Answer(&notify.Failure{Outcome: otp.OutcomeUndeliverable})
		began := s.begin(otpsend.Request{User: "mallory", Channels: []channel.Channel{channel.Email, channel.SMS}})
		mails := s.Sender(channel.Email).Sent()
		m := mails[len(mails)-1]
		if s.Sender(channel.SMS).Last().Code != m.Code {
			t.Fatal("no text message follows the mail")
		}
		v := s.visitor().open(began.PageURL)
		if by == "link" {
			v.open(m.Link).post("")
		} else {
			v.post("code", "code", m.Code)
		}
		a, err := s.fetch("bank", otpverify.Request{Session: began.Session, State: state, Result: v.returns().Get("result")})
		if err != nil || a.PhoneNumber != "" || s.Registered("mallory").PhoneVerified {
			t.Errorf("by %s: the phone is proven by who has the mail: %+v, %v", by, a, err)
		}
	}
}

// The row of a session that is over keeps no secret.
func TestEnroll_SecretsAfterTheEnd(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.register("alice", aliceByMail)
	began, result, _ := s.saved("alice")
	if _, err := s.take(began, result); err != nil {
		t.Fatal(err)
	}
	canceled := s.enroll("alice")
	s.visitor().open(canceled.PageURL).post("begin").post("add").post("cancel")
	for what, b := range map[string]users.PageAnswer{"fetched": began, "canceled": canceled} {
		id, _ := session.Parse(b.Session)
		rec, err := s.API.Site.Sessions.Load(s.Ctx(), id)
		if err != nil || strings.Contains(string(rec.Draft), `"secret"`) {
			t.Errorf("%s: the row keeps the secret of an app, %v", what, err)
		}
	}
}

// The person has denied the request by a message, and follows the link in the session's browser.
func TestLink_AfterADenial(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.register("alice", users.Request{Phone: fixture.Alice, Email: fixture.AliceMail})
	began := s.begin(otpsend.Request{User: "alice", Channels: []channel.Channel{channel.Email, channel.SMS}})
	v, other := s.visitor().open(began.PageURL), s.visitor()
	s.Rewrite(s.mailed().Verification, func(r *otp.Recipient) {
		for i := range r.Verifications {
			r.Verifications[i].Status, r.Verifications[i].EndedAt = otp.Denied, s.Now()
		}
	})
	v.open(s.mailed().Link).post("").sees("Request stopped")
	if other.open(s.mailed().Link).post("").sees("This link has expired"); strings.Contains(other.page.body, s.app.URL) {
		t.Error("the other browser sees the way to the app")
	}
}

// Two pages make codes; the one whose codes are older is fetched last. The newer codes stay, and
// the answer says so.
func TestEnroll_AnswerOfOlderCodes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.register("alice", aliceByMail)
	first, r1, older := s.saved("alice")
	s.Advance(time.Minute)
	second, r2, newer := s.saved("alice")
	if _, err := s.take(second, r2); err != nil {
		t.Fatal(err)
	}
	if a, err := s.take(first, r1); err != nil || a.NewRecoveryCodes {
		t.Errorf("%+v, %v", a.Applied, err)
	}
	for code, kind := range map[string]problem.Kind{older[0]: problem.WrongCode, newer[0]: ""} {
		if _, err := s.fetch("bank", otpverify.Request{User: "alice", Factor: "recovery", Code: code}); kind == "" != (err == nil) {
			t.Errorf("a code: %v, want %q", err, kind)
		}
	}
}
