package email

import "strings"

// reason is why a server refuses a mail, as far as its answer says so.
type reason int

const (
	unknownReason   reason = iota
	loginNeeded            // without other credentials the server does not pass the mail on
	machineBlocked         // the server blocks the address of this machine
	limitReached           // the account may not send more mails for some time
	senderRefused          // the sender's address or domain is not allowed or not verified
	mailboxFull            // the recipient's
	mailboxClosed          // it exists, but takes no mail
	mailboxUnknown         // there is no such mailbox or domain
	messageTooLarge        // or its content is refused
)

// ofStatus returns the reason that an enhanced code gives. Codes that servers use for
// many reasons, such as 5.7.1, give none.
func ofStatus(s status) reason {
	switch s {
	case status{5, 7, 8}, status{5, 7, 9}, status{5, 7, 11}, status{5, 7, 57}: // the last is Exchange's
		return loginNeeded
	case status{5, 1, 7}, status{5, 1, 8}, // the sender's address (RFC 3463)
		status{5, 7, 60}, status{5, 2, 252}, // Exchange: may not send as this sender
		status{5, 7, 20}, status{5, 7, 21}, status{5, 7, 22}, // DKIM (RFC 7372)
		status{5, 7, 23}, status{5, 7, 24}, status{5, 7, 26}, // SPF, or SPF and DKIM
		status{5, 7, 27}: // its domain takes no mail (RFC 7505)
		return senderRefused
	case status{5, 4, 5}, status{5, 7, 705}: // Gmail, Exchange: too many mails
		return limitReached
	case status{5, 1, 1}, status{5, 1, 2}, status{5, 1, 3}, status{5, 1, 10}:
		return mailboxUnknown
	case status{5, 2, 2}:
		return mailboxFull
	case status{5, 2, 3}:
		return messageTooLarge
	}
	if s.class == 5 && (s.subject == 1 || s.subject == 2) && s.detail != 0 {
		return mailboxClosed
	}
	return unknownReason
}

// phrases are the words by which servers that send no enhanced code, or a general one,
// name the reason. The first match counts, so what blames the sender comes before what
// also fits the recipient. Each phrase has two words or more: see words.
var phrases = []struct {
	reason reason
	words  []string
}{
	{senderRefused, []string{
		"sender address rejected", "sender rejected", "sender verify failed", "sender denied", "sender not allowed", "sender is not allowed",
		"bad sender", "bad outbound sender", "invalid sender", "sender address is not", "domain of sender", "sender domain",
		"relaying disallowed as", // Zoho: as this sender
		"not allowed to send as", "not authorized to send", "permissions to send as", "permission to send as", "must be same as authorization user",
		"must equal authorized user", "not owned by user", "from address does not match", "from address is not", "from header",
		"verified sender identity", "address is not verified", "domain is not verified", "identities failed the check",
		"unauthenticated email", "sender is unauthenticated", "dmarc policy", "spf check failed", "spf validation failed",
		"domain is not allowed to send", "domains are not allowed to send", "authorized recipients", // Mailgun's sandbox
	}},
	{limitReached, []string{
		"sending quota", "sending limit", "message quota exceeded", "sending rate exceeded", "rate limit exceeded", "ratelimit exceeded",
		"daily quota", "hourly quota", "daily limit", "hourly limit", "credits exceeded", "exceeded threshold", "too many messages", "too many emails",
	}},
	{loginNeeded, []string{
		"relay access denied", "relaying denied", "relay denied", "relay not permitted", "relaying not permitted", "relay not allowed",
		"relaying not allowed", "relay is not allowed", "relaying is not allowed", "relaying prohibited", "relay prohibited", "unable to relay",
		"cannot relay", "not permitted to relay", "not allowed to relay", "not authorized to relay", "do not relay", "does not relay",
		"list of allowed rcpthosts", // qmail
		"authentication required", "authentication is required", "requires authentication", "authentication needed", "must authenticate",
		"must be authenticated", "authenticate first", "authenticate yourself", "not authenticated", "log in first",
		"login first", "client host rejected access denied", "unauthenticated senders",
	}},
	{machineBlocked, []string{
		"blocked using", "client host rejected", "your ip", "sending ip", "ip address", "reverse dns", "ptr record", "helo command rejected",
	}},
	{mailboxFull, []string{
		"mailbox full", "mailbox is full", "mailbox for user is full", "inbox is full", "over quota", "over its quota", "exceeded its quota",
		"mailbox quota", "quota exceeded", "exceeded quota", "exceeds quota", "quota full", "exceeded storage allocation", "storage allocation exceeded",
		"out of storage", "insufficient storage",
	}},
	{messageTooLarge, []string{
		"message size", "size limit", "too large", "too big", "message content rejected", "potential security issue",
	}},
	{mailboxUnknown, []string{
		"user unknown", "unknown user", "user is unknown", "user not found", "user not known", "no such user", "no such mailbox", "no such recipient",
		"no such address", "no such person", "no such account", "no such local user", "no such domain", "unknown recipient", "recipient unknown",
		"recipient not found", "unknown mailbox", "mailbox unknown", "mailbox not found", "address unknown", "unknown address", "address not found",
		"domain not found", "host not found", "unknown local", "does not exist", "doesn't exist", "this user doesn't have", "no mailbox here",
		"not a valid mailbox", "not a valid recipient", "invalid recipient", "recipient invalid", "invalid mailbox", "bad destination mailbox",
		"unrouteable address", "unroutable address", "unknown or illegal alias", "is not a known user", "not our customer", "mailbox name not allowed",
	}},
	{mailboxClosed, []string{
		"mailbox disabled", "mailbox is disabled", "account disabled", "account is disabled", "account has been disabled", "address disabled",
		"account suspended", "account is suspended", "has been suspended", "mailbox inactive", "is inactive", "mailbox is unavailable",
		"mailbox unavailable", "not accepting mail", "not accepting messages", "recipient address rejected access denied",
	}},
}

// maxRead is how many bytes of an answer are read for words.
const maxRead = 2 << 10

// ofWords returns the reason that the words of an answer give.
func ofWords(answer string) reason {
	text := words(answer)
	for _, p := range phrases {
		for _, phrase := range p.words {
			if strings.Contains(text, " "+phrase+" ") {
				return p.reason
			}
		}
	}
	return unknownReason
}

// words returns the words of an answer in lower case, with one space before and after
// each, and without the marks around them. Answers quote the recipient, which a stranger
// may have chosen. Words with an @ are left out, so that "User <a@b.example> unknown" is
// read as "user unknown". A local part that is quoted alone is one word, so it is never
// a phrase.
func words(answer string) string {
	if len(answer) > maxRead {
		answer = answer[:maxRead]
	}
	var b strings.Builder
	b.WriteByte(' ')
	for word := range strings.FieldsSeq(strings.ToLower(answer)) {
		word = strings.Trim(word, `.,:;!?()[]<>{}"'`+"`*-")
		if word == "" || strings.Contains(word, "@") || strings.Trim(word, "0123456789.#") == "" {
			continue
		}
		b.WriteString(word)
		b.WriteByte(' ')
	}
	return b.String()
}
