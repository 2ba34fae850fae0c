package password_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gousers/users/password"
)

// code returns the code of a refusal, or "" for nil.
func code(t testing.TB, err error) string {
	t.Helper()
	var r *password.Refusal
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &r) || r.Code == "" || r.Detail == "":
		t.Fatalf("got %#v, want a *Refusal with code and detail", err)
	}
	return r.Code
}

// aboutOwner is what Check is told of the owner in these tests.
var aboutOwner = []string{"gw.hopper", "grace.wilhelmina@navy.example.com", "Grace Wilhelmina", "bob", "", "Zoé Lévêque"}

func TestPolicyTakesGoodPasswords(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"correct horse battery staple",
		"correcthorsebatterystaple",
		"Correct-Horse-Battery-Staple",
		"the quick brown fox jumps",
		"my dog eats green apples",
		"four score and seven years ago",
		"tis but a scratch, you say?",
		"sunshine butterfly",          // both are common passwords
		"princess football computer",  // all three are
		"sunshine-butterfly-elephant", // and with other signs
		"the password is swordfish",   // a common password inside
		"password reset on a Tuesday", //
		"I have 12345678 apples here", // a sequence inside
		"qwerty is how my keys begin", // a walk inside
		"password 93#41&58%2",         // and more of other things
		"christophermoore",            // a common password and a name
		"butterflysunshinechocolateelephant",
		"Tr0ub4dor&3-and-more",
		"x7#kQ9pzLm2!vTw",
		"vnweoqxkzpdtylm",
		"839105726418503",
		"               x7#kQ9p", // spaces count
		"ünïcödé wörds ällöwed",
		"パスワードは長いほうがよい、そうだろう",
		"мой дядя самых честных правил",
		"👩‍🚀🐙🌮🎻🦖🧭🪁🛶🏝🎲🧩🪐🦉🍀⚓",
		"Grace Wilhelmina Hopper wrote it", // what is known inside
		"bob and alice went to sea",
		// Four random words, and sentences.
		"violin gravel teapot monsoon", "anchor-thistle-velvet-quarry", "cobalt umbrella frosting ladder", "marmot syrup kettle drum", "violingravelteapotmonsoon",
		"love lantern money thimble", "mother pelican july cabbage", // some of the words are plain
		"my cat is called mister fluffy", "this is my very own secret garden gnome", "I love my family and our old volvo",
		"heute scheint die Sonne über Köln", "Der Hund meiner Nachbarin bellt nachts", "ich liebe Spaghetti mit Tomaten", "Großmutters Apfelkuchen schmeckt köstlich",
		"la plume de ma tante est perdue", "el perro de san roque no tiene rabo", "il gatto dorme sul divano rosso",
		"η θάλασσα σήμερα είναι ήρεμη", "το καράβι μου ταξιδεύει νότια", "Ο παππούς έφτιαξε φασολάδα", "κόκκινη ομπρέλα τέσσερα βουνά",
		"у лукоморья дуб зелёный", "моя бабушка печёт вкусные пироги", "завтра мы поедем на дачу к тёте", "синий чайник громко свистит",
		"今日は天気がいいから散歩しましょう", "吾輩は猫である。名前はまだ無い。", "私の犬は毎朝六時に必ず吠えます", "青い象が三匹、川で泳いでいたのを見た",
		"床前明月光疑是地上霜举头望明月", "나는 매일 아침 커피를 두 잔 마신다", "जंगल में मोर नाचा किसने देखा", "القطة نائمة تحت الشجرة الكبيرة", "החתול ישן על הספה הכחולה",
	} {
		if err := (&password.Policy{}).Check(password.New(s), aboutOwner...); err != nil {
			t.Errorf("%q: got %v, want nil", s, err)
		}
	}
}

func TestPolicyRefusesWhatAttackersTry(t *testing.T) {
	t.Parallel()
	for want, list := range map[string][]string{
		password.CodeCommon: {
			"passwordstandard", "PasswordStandard", " passwordstandard ", "passwordstandard!", "1234qwerasdfzxcv",
			"password12345678", "12345678password", "passwordpassword1", "Password12345678!", "qwertyuiopiloveyou", "passwordiloveyou", "sunshine-butterfly",
			"P@ssw0rd12345678", "p4$$w0rd!1l0v3y0u", "password!!!!!!!!", "!!!!password!!!!", "password84719365", "MyPassword2024!",
			"p a s s w o r d 1 2 3", "p-a-s-s-w-o-r-d-s-t-a-n-d-a-r-d", "password 12345678", "password qwerty", "iloveyou iloveyou 99", "pass word standard",
			"pásswörd12345678", "P@sswörd12345678", "ṗáššẃøŕđ12345678", "p̷a̷s̷s̷w̷o̷r̷d̷1̷2̷3̷4̷5̷6̷", "PÄSSWÖRDSTANDÄRD", "sünshîne-bütterfly",
			"thisismypassword", "ThisIsMyPassword!", "Th1sIsMyP@ssw0rd", "this is my password", "This-Is-My-Password", "this is my secret password", "ilovemyfamily2024", "iłovemyfamiły2024", "ılovemyfamıly2024", "ilovemyfamilyverymuch", "i love my family!",
			"iloveyouforever", "iloveyousomuch99", "mynewpassword123", "pleaseletmeinnow", "ineedanewpassword", "iforgotmypassword", "changemeplease123",
			"dasistmeinpasswort", "Das ist mein Passwort", "ichliebemeinefamilie", "jetaimemonamour1", "estaesmicontraseña", "motdepassesecret", "micontraseña12345",
			"парольпривет123", "мой пароль 12345", "МойСекретныйПароль", "этомойпароль2024", "ялюблюсвоюмаму12", "я люблю тебя мама",
			"κωδικός12345678", "ΚΩΔΙΚΟΣ12345678", "οκωδικόςμου12345", "αυτός είναι ο κωδικός μου", "σαγαπώπολύπολύ1",
			"これは私のパスワードです1234", "パスワード1234567890", "密码123456789012345", "这是我的密码1234567890", "我爱你我的宝贝12345678", "비밀번호1234567890123", "나의비밀번호입니다1234567",
			"كلمةالسر123456789", "הסיסמהשלי12345678", "पासवर्ड1234567890", "รหัสผ่านของฉัน123",
			"butterfly qwerty", "sunshine asdfghjkl", "butterfly-qwerty-asdf", "chocolate abcdefgh", // keys in a row are no word of a phrase
			"ｐａｓｓｗｏｒｄ１２３４５６７８", "ＰＡＳＳＷＯＲＤ　ｓｔａｎｄａｒｄ",
		},
		password.CodeRepeated: {
			"aaaaaaaaaaaaaaaa", "AaAaAaAaAaAaAaAa", "abcabcabcabcabcabc", "passwordpassword", "0123456789012345678901234", "monkeymonkeymonkey", "monkeymonkeymonkey99",
			"monkey monkey monkey", "Monkey-monkey-MONKEY", "P@ssw0rdP@ssw0rd", "hello world hello world", "               ", "😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀",
			"1121121121121121", "x7#kQ9x7#kQ9x7#kQ9", "ququququjvjvjvjv",
		},
		password.CodeSequence: {
			"qwertyuiopasdfghjkl", "QwertyUiopAsdfGhjkl", "123456789012345678", "987654321098765432", "abcdefghijklmnop", "zyxwvutsrqponmlkji",
			"ABCDEFGHijklmnop", "1q2w3e4r5t6y7u8i", "zaq12wsxcde34rfv", "!@#$%^&*()_+{}|", "112233445566778899", "aabbccddeeffgghh", "abcdefgh12345678", "qwertyuiop asdfghjkl",
			"a b c d e f g h i j k", "йцукенгшщзхъфыва", "абвгдежзийклмно", "azertyuiopqsdfghjklm", "20012003200520072009",
		},
		password.CodePersonal: {
			"grace.wilhelmina@navy.example.com", "GRACE.WILHELMINA", "gracewilhelmina", "Grace Wilhelmina", "gracewilhelmina1906", "gw.hopper12345678", "gw.hopper98712365",
			"GräceWilhelmiña1906", "gw.hoppér12345678", "zoé.lévêque1234", "leveque-1984-leveque", "ZOÉLÉVÊQUE12345",
			"gw.hopper.gracewilhelmina", "wilhelminagrace1", "gr4c3w1lh3lm1n4", "hopper hopper 1906", "1906 gracewilhelmina 1992",
		},
	} {
		for _, s := range list {
			err := (&password.Policy{}).Check(password.New(s), aboutOwner...)
			if got := code(t, err); got != want {
				t.Errorf("%q: got %q, want %q", s, got, want)
			}
		}
	}
}

func TestPolicyCountsCharacters(t *testing.T) {
	t.Parallel()
	const good = "x7#kQ9pzLm2!vTwR" // 16
	for _, c := range []struct {
		least int
		in    string
		want  string
	}{
		{0, good[:14], password.CodeTooShort},
		{0, good[:15], ""},
		{0, "", password.CodeTooShort},
		{8, good[:7], password.CodeTooShort},
		{8, good[:8], ""},
		{1, good[:7], password.CodeTooShort}, // not less than 8
		{-1, good[:7], password.CodeTooShort},
		{-1, good[:8], ""},
		{16, good[:15], password.CodeTooShort},
		{16, good, ""},
		{15, good[:13] + "é", password.CodeTooShort},       // 15 bytes
		{15, good[:13] + "e\u0301", password.CodeTooShort}, // 15 characters, but 14 once composed
		{15, "äöüßéèêàâîôûçñø", ""},
		{15, "x y z 7 # k Q 9", ""}, // spaces count
		{15, "😀🐙🌮🎻🦖🧭🪁", password.CodeTooShort},
	} {
		err := (&password.Policy{MinLength: c.least}).Check(password.New(c.in))
		if got := code(t, err); got != c.want {
			t.Errorf("%q with %d: got %q, want %q", c.in, c.least, got, c.want)
		}
	}
	err := (&password.Policy{MinLength: 12}).Check(password.New("short"))
	if err == nil || err.Error() != "password: must have at least 12 characters" {
		t.Errorf("got %v, want the length that is asked for", err)
	}
}

// varied returns n characters that are no pattern.
func varied(n int, from string) string {
	r := rand.New(rand.NewPCG(1, 2))
	runes, out := []rune(from), make([]rune, n)
	for i := range out {
		out[i] = runes[r.IntN(len(runes))]
	}
	return string(out)
}

func TestPolicyTakesLongPasswords(t *testing.T) {
	t.Parallel()
	const ascii = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 !#$%&"
	for _, c := range []struct{ in, want string }{
		{varied(64, ascii), ""},
		{varied(256, ascii), ""},
		{varied(64, "かきくけこさしすせそ漢字仮名交文"), ""},
		{varied(64, "😀🐙🌮🎻🦖🧭🪁🛶🏝🎲🧩🪐🦉🍀⚓"), ""},
		{varied(1024, ascii), ""},
		{varied(1025, ascii), password.CodeTooLong},
		{varied(512, "éèêàâîôûçñø"), ""},
		{varied(513, "éèêàâîôûçñø"), password.CodeTooLong},
		{strings.Repeat("e\u0301x", 257), password.CodeTooLong}, // as given, not as composed
		{strings.Repeat("\u0958", 341), password.CodeTooLong},   // as composed: twice as long
		{strings.Repeat("x", 1<<20), password.CodeTooLong},
	} {
		if got := code(t, (&password.Policy{}).Check(password.New(c.in))); got != c.want {
			t.Errorf("%d bytes of %.20q: got %q, want %q", len(c.in), c.in, got, c.want)
		}
	}
}

func TestPolicyTakesEveryPrintingCharacterAndSpaceAndNoControl(t *testing.T) {
	t.Parallel()
	p := &password.Policy{Blocked: func(string) bool { return false }}
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if r > 0x3000 && r%17 != 0 { // a sample is enough of the many ideographs
			continue
		}
		want := ""
		switch {
		case !utf8.ValidRune(r):
			continue
		case unicode.IsControl(r):
			want = password.CodeControl
		case !unicode.IsPrint(r) && !unicode.IsSpace(r):
			continue
		}
		if got := code(t, p.Check(password.New("x7#kQ9pzL"+string(r)+"m2!vTw"))); got != want {
			t.Errorf("%U: got %q, want %q", r, got, want)
		}
	}
	for _, s := range []string{"\x00", "\t", "\n", "\r\n", "\x1b", "\x7f", "\u0085"} {
		if got := code(t, p.Check(password.New("x7#kQ9pzLm2!vTw"+s))); got != password.CodeControl {
			t.Errorf("%q at the end: got %q, want %q", s, got, password.CodeControl)
		}
	}
	if got := code(t, p.Check(password.New("x7#kQ9pzLm2!vTw\xff"))); got != password.CodeNotText {
		t.Errorf("invalid UTF-8: got %q, want %q", got, password.CodeNotText)
	}
}

func TestRefusalHoldsNothingOfThePassword(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, s := range []string{
		"zwxq", "bpgjldsgjldthnf", "zwxqzwxqzwxqzwxq", "lkjhgfdsapoiuytrewq", "gw.hopper98712365", "zwxqzwxqzwxqzwxq\x00", "zwxqzwxqzwxqzwxq\xff", varied(2000, "zwxq"),
	} {
		var r *password.Refusal
		err := (&password.Policy{}).Check(password.New(s), aboutOwner...)
		if !errors.As(err, &r) {
			t.Fatalf("%.20q: got %v, want a refusal", s, err)
		}
		seen[r.Code] = true
		for i := range len(s) - 3 {
			if part := s[i : i+4]; strings.Contains(r.Code+" "+r.Detail, part) {
				t.Errorf("%.20q: %v holds %q", s, err, part)
			}
		}
	}
	if len(seen) != 8 {
		t.Errorf("saw the codes %v, want all 8", seen)
	}
}

// A password of 8 random characters must pass where 8 are enough, and random
// digits must as well: no rules of composition.
// Each plain word counts as one: together they are refused.
func TestPolicyKnowsItsPlainWords(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("words.txt")
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	if !slices.IsSorted(words) || len(slices.Compact(slices.Clone(words))) != len(words) {
		t.Error("the list is not sorted, or a word is there twice")
	}
	p := &password.Policy{MinLength: 8}
	for i, w := range words {
		if n := utf8.RuneCountInString(w); n < 2 || n > 15 || strings.ToLower(w) != w || strings.ContainsFunc(w, unicode.IsSpace) {
			t.Errorf("%q does not belong there", w)
		}
		// From all over the list, so that few repeat what is before.
		three := w + words[(i+len(words)/3)%len(words)] + words[(i+2*len(words)/3)%len(words)]
		for _, s := range []string{three, strings.ToUpper(three)} {
			if utf8.RuneCountInString(s) >= 11 && p.Check(password.New(s)) == nil {
				t.Errorf("%q is taken", s)
			}
		}
	}
}

func TestPolicyTakesRandomPasswords(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	p := &password.Policy{MinLength: 8}
	const all = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ!@#$%^&*()"
	for _, c := range []struct {
		from    string
		n       int
		atMost  int // refused of 3,000; what looks like a pattern by accident is one
		purpose string
	}{
		{all, 8, 3, "anything"}, {all, 15, 0, "anything"}, {all[:26], 8, 6, "letters"}, {all[:26], 15, 0, "letters"}, {all[26:36], 15, 20, "digits"},
	} {
		refused := 0
		for range 3000 {
			b := make([]byte, c.n)
			for i := range b {
				b[i] = c.from[r.IntN(len(c.from))]
			}
			if p.Check(password.New(string(b))) != nil {
				refused++
			}
		}
		if refused > c.atMost {
			t.Errorf("%d of %s: %d of 3,000 refused, want at most %d", c.n, c.purpose, refused, c.atMost)
		}
	}
}

func TestPolicyShortMinimumStillRefusesCommonPasswords(t *testing.T) {
	t.Parallel()
	p := &password.Policy{MinLength: 8}
	for in, want := range map[string]string{
		"password": password.CodeCommon, "Passw0rd": password.CodeCommon, "trustno1": password.CodeCommon, "password1": password.CodeCommon,
		"aaaaaaab": password.CodeSequence, "abcdabcd": password.CodeRepeated, "hopper99": password.CodePersonal, "graceful": "",
		"kXq7zLmw": "", "qwert#&%": "", "haha#8K2": "", "blue fox": "",
	} {
		if got := code(t, p.Check(password.New(in), aboutOwner...)); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestPolicyBlockedReplacesTheList(t *testing.T) {
	t.Parallel()
	var asked []string
	p := &password.Policy{Blocked: func(s string) bool {
		asked = append(asked, s)
		return s == "ourcompanyname"
	}}
	for in, want := range map[string]string{
		"passwordstandard":      "", // on the embedded list
		"sunshinebutterfly":     "",
		"OurCompanyName!":       password.CodeCommon,
		"our company name":      password.CodeCommon,
		"0urC0mp4nyN4m32024!":   "",
		"OurC0mp4nyName!2024":   password.CodeCommon,
		"ÖurC0mp4nyNäme!2024":   password.CodeCommon,
		"we are ourcompanyname": "",
		"aaaaaaaaaaaaaaaa":      password.CodeRepeated,
	} {
		if got := code(t, p.Check(password.New(in))); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	asked = nil
	if err := p.Check(password.New("1. Good-Pa$$phrase 1!")); err != nil {
		t.Fatal(err)
	}
	want := []string{"1. good-pa$$phrase 1!", "good-pa$$phrase", "1goodpaphrase1", "good-passphrase", "1. Good-Pa$$phrase 1!"}
	if !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
	asked = nil
	_ = p.Check(password.New("short"))
	_ = p.Check(password.New(strings.Repeat("a", 20)))
	if asked != nil {
		t.Errorf("asked %q about what is refused anyway", asked)
	}
}

// A few characters of Unicode stand for whole sentences.
func TestPolicyFormsAreNoLongerThanAPassword(t *testing.T) {
	t.Parallel()
	p := &password.Policy{Blocked: func(s string) bool {
		if len(s) > 2*password.MaxTextBytes {
			t.Errorf("asked about %d bytes", len(s))
		}
		return false
	}}
	if err := p.Check(password.New(varied(1024/3, "\ufdfa\ufdfb\ufb03\u3300漢字仮名"))); err != nil {
		t.Error(err)
	}
}

func TestNilPolicyIsTheDefault(t *testing.T) {
	t.Parallel()
	var p *password.Policy
	for in, want := range map[string]string{"x7#kQ9pzLm2!vT": password.CodeTooShort, "x7#kQ9pzLm2!vTw": "", "passwordstandard": password.CodeCommon} {
		if got := code(t, p.Check(password.New(in))); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestNormalizeComposesAndChangesNothingElse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{" Spaces  stay ", " Spaces  stay "},
		{"e\u0301", "\u00e9"},
		{"\u00e9", "\u00e9"},
		{"\u1100\u1161", "\uac00"},
		{"ﬁ Ⅳ ｆｕｌｌ", "ﬁ Ⅳ ｆｕｌｌ"}, // not compatibility
		{"A\tB\x00", "A\tB\x00"},
		{"\ufffd", "\ufffd"},
	} {
		got, err := password.Normalize(password.New(c.in))
		if string(got) != c.want || err != nil {
			t.Errorf("%q: got %q, %v, want %q", c.in, got, err, c.want)
		}
	}
	for in, want := range map[string]string{"\xff": password.CodeNotText, "\xed\xa0\x80": password.CodeNotText, strings.Repeat("x", 1025): password.CodeTooLong} {
		got, err := password.Normalize(password.New(in))
		if got != nil || code(t, err) != want {
			t.Errorf("%.10q: got %q, %v, want %q", in, got, err, want)
		}
	}
}

// hostile are passwords of about 1,024 bytes that are made to take long.
func hostile() []string {
	list := []string{
		strings.Repeat("a", 1024),
		strings.Repeat("a", 1023) + "b",
		strings.Repeat("ab", 511) + "ba",
		strings.Repeat("password", 128),
		strings.Repeat("p@ssw0rd", 127) + "x",
		strings.Repeat("1q2w3e4r5t6y7u8i9o0p", 51),
		strings.Repeat("\ufdfa", 341), // becomes 18 characters each
		strings.Repeat("e\u0301", 340),
		"a" + strings.Repeat("\u0301", 511),
		strings.Repeat("İ", 512),
		varied(1024, "qwe"),
		varied(1024, "passwordiloveyou12345678"),
		varied(1024, "!@#$ 1"),
	}
	for n := 8; n < 40; n += 5 { // common passwords in many overlapping ways
		list = append(list, strings.Repeat(varied(n, "masterp1qaz2wsx"), 1024/n))
	}
	return list
}

func TestPolicyIsBoundedInTime(t *testing.T) {
	t.Parallel()
	words := []string{strings.Repeat("a", 255) + "b", strings.Repeat("ab", 120) + "@b.co", strings.Repeat("x", 5000)}
	for _, s := range hostile() {
		// It is some milliseconds; the race detector and a busy machine take the
		// rest, but hardly three times in a row.
		for try := 1; ; try++ {
			start := time.Now()
			err := (&password.Policy{}).Check(password.New(s), words...)
			took := time.Since(start)
			if took <= 2*time.Second {
				break
			}
			if try == 3 {
				t.Errorf("%.20q…: %v after %v", s, err, took)
				break
			}
		}
	}
}

func FuzzPolicyCheck(f *testing.F) {
	for _, s := range append(hostile(), "correct horse battery staple", "password12345678", "\xff", "", "ﬀ", "grace.wilhelmina 1") {
		f.Add(s, "grace.wilhelmina@navy.example.com", 8)
	}
	f.Fuzz(func(t *testing.T, s, word string, least int) {
		start := time.Now()
		p := &password.Policy{MinLength: least}
		got := code(t, p.Check(password.New(s), word))
		if took := time.Since(start); took > 5*time.Second {
			t.Fatalf("took %v", took)
		}
		b, err := password.Normalize(password.New(s))
		if got == "" {
			if err != nil || !utf8.Valid(b) || utf8.RuneCount(b) < 8 || len(b) > password.MaxTextBytes {
				t.Fatalf("%q was taken; Normalize returns %q, %v", s, b, err)
			}
			// What is typed on a system that composes is judged alike.
			if again := code(t, p.Check(password.New(string(b)), word)); again != "" {
				t.Fatalf("%q was taken, but as normalized refused for %q", s, again)
			}
		}
	})
}
