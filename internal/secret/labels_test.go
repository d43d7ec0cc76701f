package secret

import "testing"

func TestLabels_NoTwoUsesShareAKey(t *testing.T) {
	s := make([]byte, MinBytes)
	labelOf := map[string]string{}
	for _, label := range []string{labelID, labelCode, labelRecovery, labelSeal, labelIndex, labelOpaque, labelReceipt, labelSubject} {
		k, err := derive(s, label)
		if err != nil || len(k) != 32 {
			t.Fatalf("%s: %d bytes, %v", label, len(k), err)
		}
		if other, taken := labelOf[string(k)]; taken {
			t.Errorf("%s and %s give the same key", label, other)
		}
		labelOf[string(k)] = label
	}
}
