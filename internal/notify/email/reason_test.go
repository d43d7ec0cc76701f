package email

import (
	"fmt"
	"net/textproto"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"twofa/internal/otp"
	"twofa/internal/testing/notifytest"
	"twofa/internal/testing/smtptest"
)

// verdict is what an answer has to lead to.
type verdict struct {
	outcome otp.Outcome
	setting string
}

var (
	noMailbox    = verdict{otp.OutcomeUndeliverable, ""}
	unreachable  = verdict{otp.OutcomeUndeliverable, ""}
	notNow       = verdict{otp.OutcomeUnavailable, ""}
	wrongURL     = verdict{otp.OutcomeMisconfigured, theURL}
	wrongFrom    = verdict{otp.OutcomeMisconfigured, theFrom}
	steps        = map[smtptest.Step]step{smtptest.MailFrom: sender, smtptest.Recipient: recipient, smtptest.End: final}
	otherProgram = "another program"
)

// replies are answers in the words of real servers, most of them without an enhanced code
// or with a general one. %s is the recipient.
var replies = []struct {
	server string
	step   smtptest.Step
	code   int
	text   string
	want   verdict
}{
	{"Postfix", smtptest.Recipient, 554, "5.7.1 <%s>: Relay access denied", wrongURL},
	{"Postfix", smtptest.Recipient, 454, "4.7.1 <%s>: Relay access denied", wrongURL},
	{"Postfix", smtptest.Recipient, 554, "5.7.1 <unknown[192.0.2.1]>: Client host rejected: Access denied", wrongURL},
	{"Postfix", smtptest.Recipient, 554, "5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.1", wrongURL},
	{"Postfix", smtptest.Recipient, 550, "5.1.1 <%s>: Recipient address rejected: User unknown in local recipient table", noMailbox},
	{"Postfix", smtptest.Recipient, 550, "<%s>: Recipient address rejected: User unknown in virtual mailbox table", noMailbox},
	{"Postfix", smtptest.Recipient, 550, "<%s>: Recipient address rejected: Domain not found", noMailbox},
	{"Postfix", smtptest.Recipient, 553, "5.7.1 <login@acme.example>: Sender address rejected: not owned by user app", wrongFrom},
	{"Postfix", smtptest.Recipient, 550, "<login@acme.example>: Sender address rejected: Domain not found", wrongFrom},
	{"Postfix", smtptest.Recipient, 450, "4.2.0 <%s>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/", notNow},
	{"Postfix", smtptest.Recipient, 452, "4.3.1 Insufficient system storage", notNow},
	{"Postfix", smtptest.MailFrom, 550, "5.1.8 <login@acme.example>: Sender address rejected: Domain not found", wrongFrom},

	{"Exim", smtptest.Recipient, 550, "relay not permitted", wrongURL},
	{"Exim", smtptest.Recipient, 550, "authentication required", wrongURL},
	{"Exim", smtptest.Recipient, 550, "Unrouteable address", noMailbox},
	{"Exim", smtptest.Recipient, 550, "No Such User Here", noMailbox},
	{"Exim", smtptest.Recipient, 550, "Sender verify failed", wrongFrom},
	{"Exim", smtptest.Recipient, 550, "Administrative prohibition", unreachable},
	{"Exim", smtptest.Recipient, 451, "Temporary local problem - please try later", notNow},
	{"Exim", smtptest.Recipient, 451, "greylisted - please try again later", notNow},
	{"Exim", smtptest.End, 550, "Administrative prohibition", wrongFrom},
	{"cPanel", smtptest.Recipient, 550, "Domain acme.example has exceeded the max emails per hour (100/100) allowed. Message discarded. Sending limit reached.", notNow},

	{"Sendmail", smtptest.Recipient, 550, "5.7.1 <%s>... Relaying denied. Proper authentication required.", wrongURL},
	{"Sendmail", smtptest.Recipient, 550, "5.7.1 <%s>... Relaying denied", wrongURL},
	{"Sendmail", smtptest.Recipient, 550, "<%s>... User unknown", noMailbox},
	{"Sendmail", smtptest.MailFrom, 553, "<login@acme.example>... Domain of sender address does not exist", wrongFrom},

	{"qmail", smtptest.Recipient, 553, "sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", wrongURL},
	{"qmail", smtptest.Recipient, 550, "sorry, no mailbox here by that name (#5.1.1)", noMailbox},
	{"qmail", smtptest.End, 554, "sorry, no mailbox here by that name (#5.1.1)", noMailbox},
	{"qmail", smtptest.End, 552, "sorry, that message size exceeds my databytes limit (#5.3.4)", wrongFrom},

	{"Dovecot", smtptest.Recipient, 550, "5.1.1 <%s> User doesn't exist: %s", noMailbox},
	{"Dovecot", smtptest.End, 552, "5.2.2 <%s> Quota exceeded (mailbox for user is full)", unreachable},
	{"Dovecot", smtptest.End, 552, "<%s> Quota exceeded (mailbox for user is full)", unreachable},
	{otherProgram, smtptest.End, 552, "Mailbox full", unreachable},
	{otherProgram, smtptest.End, 552, "Requested mail action aborted: exceeded storage allocation", unreachable},
	{otherProgram, smtptest.End, 554, "mailbox is full", unreachable},
	{otherProgram, smtptest.Recipient, 550, "%s is over quota", unreachable},
	{otherProgram, smtptest.Recipient, 550, "Requested action not taken: mailbox unavailable", unreachable},
	{otherProgram, smtptest.Recipient, 550, "authentication is required for relay", wrongURL},
	{otherProgram, smtptest.Recipient, 550, "User unknown", noMailbox},
	{otherProgram, smtptest.Recipient, 551, "unknown user", noMailbox},
	{otherProgram, smtptest.Recipient, 550, "User <%s> unknown", noMailbox},
	{otherProgram, smtptest.End, 554, "Mailbox %s is full", unreachable},
	{otherProgram, smtptest.MailFrom, 550, "authentication required", wrongURL},
	{otherProgram, smtptest.MailFrom, 550, "no such user", wrongFrom}, // the sender's
	{otherProgram, smtptest.End, 550, "5.7.1 relaying not allowed", wrongURL},
	{otherProgram, smtptest.Recipient, 550, "5.7.1 This server does\n5.7.1 not relay for you: relaying\n5.7.1 denied", wrongURL},

	{"Exchange", smtptest.Recipient, 550, "5.7.1 Unable to relay", wrongURL},
	{"Exchange", smtptest.Recipient, 550, "5.7.54 SMTP; Unable to relay recipient in non-accepted domain", wrongURL},
	{"Exchange", smtptest.MailFrom, 530, "5.7.1 Client was not authenticated", wrongURL},
	{"Exchange", smtptest.MailFrom, 550, "5.7.1 Client was not authenticated", wrongURL},
	{"Exchange", smtptest.Recipient, 550, "5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient %s not found by SMTP address lookup", noMailbox},
	{"Exchange", smtptest.Recipient, 550, "5.2.1 Mailbox disabled, not accepting messages", unreachable},
	{"Outlook", smtptest.Recipient, 550, "5.5.0 Requested action not taken: mailbox unavailable (S2017062302).", unreachable},
	{"Outlook", smtptest.Recipient, 550, "5.4.1 Recipient address rejected: Access denied. [AM0.prod.outlook.example]", unreachable},
	{"Outlook", smtptest.End, 554, "5.2.252 SendAsDenied; login@acme.example not allowed to send as app@acme.example", wrongFrom},
	{"Outlook", smtptest.End, 550, "5.7.705 Access denied, tenant has exceeded threshold", notNow},

	{"Gmail", smtptest.Recipient, 550, "5.1.1 The email account that you tried to reach does not exist. Please try\n5.1.1 double-checking the recipient's email address for typos or\n5.1.1 unnecessary spaces. For more information, go to\n5.1.1  https://support.google.com/mail/?p=NoSuchUser x - gsmtp", noMailbox},
	{"Gmail", smtptest.Recipient, 550, "5.2.1 The email account that you tried to reach is disabled. - gsmtp", unreachable},
	{"Gmail", smtptest.Recipient, 452, "4.2.2 The recipient's inbox is out of storage space. - gsmtp", notNow},
	{"Gmail", smtptest.Recipient, 550, "5.4.5 Daily user sending limit exceeded. - gsmtp", notNow},
	{"Gmail", smtptest.Recipient, 550, "5.7.1 Invalid credentials for relay [192.0.2.1]. The IP address you've registered does not match", wrongURL},
	{"Gmail", smtptest.End, 550, "5.7.26 This mail has been blocked because the sender is unauthenticated.\n5.7.26 Gmail requires all senders to authenticate with either SPF or DKIM.", wrongFrom},
	{"Gmail", smtptest.End, 550, "5.7.1 Unauthenticated email from acme.example is not accepted due to domain's DMARC policy.", wrongFrom},
	{"Gmail", smtptest.End, 552, "5.7.0 This message was blocked because its content presents a potential security issue.", wrongFrom},
	{"Gmail", smtptest.End, 421, "4.7.28 Our system has detected an unusual rate of unsolicited mail", notNow},

	{"Yahoo", smtptest.End, 554, "delivery error: dd This user doesn't have a yahoo.com account (%s) [0] - mta1.example", noMailbox},
	{"Yahoo", smtptest.End, 554, "delivery error: dd Sorry, your message to %s cannot be delivered. This mailbox is disabled (554.30). - mta1.example", unreachable},
	{"Yahoo", smtptest.MailFrom, 421, "4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints", notNow},

	{"SES", smtptest.End, 554, "Message rejected: Email address is not verified. The following identities failed the check in region EU-WEST-1: %s", wrongFrom},
	{"SES", smtptest.End, 454, "Throttling failure: Daily message quota exceeded.", notNow},
	{"SES", smtptest.MailFrom, 530, "Authentication required", wrongURL},
	{"Mailgun", smtptest.End, 550, "5.7.1 Sandbox subdomains are for test purposes only. Please add your own domain or add the address to authorized recipients", wrongFrom},
	{"Mailgun", smtptest.Recipient, 550, "5.7.1 Relaying denied", wrongURL},
	{"SendGrid", smtptest.End, 550, "The from address does not match a verified Sender Identity. Mail cannot be sent until this error is resolved.", wrongFrom},
	{"SendGrid", smtptest.MailFrom, 550, "Unauthenticated senders not allowed", wrongURL},
	{"SendGrid", smtptest.End, 451, "Authentication failed: Maximum credits exceeded", notNow},
	{"Zoho", smtptest.MailFrom, 553, "Relaying disallowed as login@acme.example", wrongFrom},
	{"QQ", smtptest.MailFrom, 501, "mail from address must be same as authorization user", wrongFrom},
}

// An answer is judged by its words if its codes do not say enough.
func TestRepliesOfRealServers(t *testing.T) {
	for i, tc := range replies {
		t.Run(fmt.Sprintf("%d %s %d", i, tc.server, tc.code), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, smtptest.Options{Security: smtptest.Plain}, nil)
			r.On(tc.step, smtptest.Answer(tc.code, tc.text+" "+smtptest.Words))
			err := r.Send(t.Context(), message())
			expected{tc.want.outcome, tc.want.setting, tc.code, ""}.check(t, err)
			notifytest.Secrets{"address": to, "local part": "canary.person", "server's word": smtptest.Words}.CheckError(t, err)
			if len(r.Mails()) != 0 {
				t.Error("a mail was stored")
			}
		})
	}
}

// Each reason has words that the table of real answers uses, so that no phrase of a whole
// group is lost unseen.
func TestEveryReasonIsInTheTable(t *testing.T) {
	seen := make(map[reason]bool)
	for _, tc := range replies {
		seen[ofWords(tc.text)] = true
	}
	for r := unknownReason; r <= messageTooLarge; r++ {
		if !seen[r] {
			t.Errorf("no answer gives the reason %d by its words", r)
		}
	}
}

// A phrase of one word, or in another form than words gives, could be an address, or would
// never be found.
func TestPhrasesAreWords(t *testing.T) {
	seen := make(map[string]bool)
	for _, p := range phrases {
		for _, phrase := range p.words {
			if words(phrase) != " "+phrase+" " || len(strings.Fields(phrase)) < 2 {
				t.Errorf("%q is read as %q", phrase, words(phrase))
			}
			if seen[phrase] {
				t.Errorf("%q is there twice", phrase)
			}
			seen[phrase] = true
		}
	}
}

// Answers quote the address, and strangers choose addresses. No address changes how an
// answer is judged: a person must not be able to make the service blame its settings.
func TestAttack29_AnAddressDoesNotChangeTheVerdict(t *testing.T) {
	var all []string
	for _, p := range phrases {
		all = append(all, p.words...)
	}
	var templates []string
	for _, tc := range replies {
		if strings.Contains(tc.text, "%s") {
			templates = append(templates, tc.text)
		}
	}
	templates = append(templates, "<%s> %s", "no <%s>, sorry", "550 5.0.0 (%s)", "%s")
	rapid.Check(t, func(t *rapid.T) {
		phrase := rapid.SampledFrom(all).Draw(t, "phrase")
		local := strings.ReplaceAll(phrase, " ", rapid.SampledFrom([]string{"-", ".", "_", "", "+"}).Draw(t, "between"))
		address := local + "@" + rapid.SampledFrom([]string{"home.example", "relay.denied.example"}).Draw(t, "domain")
		template := rapid.SampledFrom(templates).Draw(t, "answer")
		got, want := ofWords(strings.ReplaceAll(template, "%s", address)), ofWords(strings.ReplaceAll(template, "%s", to))
		if got != want {
			t.Errorf("%q with %s gives %d, not %d", template, address, got, want)
		}
		// Some servers quote the local part alone.
		if got := ofWords("Sorry: '" + local + "' (" + local + ")"); got != unknownReason {
			t.Errorf("the local part %s gives %d", local, got)
		}
	})
}

// Any answer at any step gives one failure that says what to do, and none of the answer's
// words gets into it. Only an answer that is no refusal leaves open whether the mail was sent.
func FuzzReplies(f *testing.F) {
	for _, tc := range replies {
		f.Add(int(steps[tc.step]-greeting), tc.code-200, tc.text, true)
	}
	f.Add(int(data-greeting), 154, "", false)
	f.Add(int(final-greeting), 350, "\x00 \xff relay access denied \n", false)
	f.Fuzz(func(t *testing.T, at, number int, text string, withUser bool) {
		at = int(greeting) + max(0, at)%int(final-greeting+1)
		number = 200 + max(0, number)%400
		c := conversation{s: new(Sender), at: step(at), link: new(link), whole: true}
		if withUser {
			c.s.credentials = new(credentials)
		}
		got := c.judge(&textproto.Error{Code: number, Msg: text})
		if got.Outcome == otp.OutcomeSent || got.Detail == "" || (got.Setting != "") != (got.Outcome == otp.OutcomeMisconfigured) ||
			got.Code != number || got.Next != otp.NextChannel {
			t.Errorf("%d %q: %s", number, text, describe(got))
		}
		if refusal := number/100 == 4 || number/100 == 5; got.MayHaveSent != (!refusal && step(at) == final) {
			t.Errorf("%d %q: %s", number, text, describe(got))
		}
		other := c.judge(&textproto.Error{Code: number, Msg: text + " canary"})
		if strings.Contains(other.Error(), "canary") {
			t.Errorf("%d %q: %s", number, text, other.Error())
		}
	})
}
