package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gousers/users"
)

// The hashes are vectors that somebody published; package password names their sources.
const (
	pbkdf2OfPassword = "TdzY9guYviGDDO5e8icB+WQaRBjQTAQUrv8Ih2s0q1ah1CWhIlgzVJrbhBtRybMXaicr3ruh0HhHj2Kzl/M8jQ=="
	aspnetOfMine     = "AQAAAAIAAYagAAAAEAABAgMEBQYHCAkKCwwNDg/Q8A0WMKbtHQJQ2DHCdoEeeFBrgNlldq6vH4qX/CGqGQ=="
	firebaseOfUser1  = "lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ=="
	argon2OfTest     = "$argon2id$v=19$m=32,t=5,p=4$cm94YnRVOW5jZzFzcVE4bQ$fBxypOL0nP/zdPE71JtAV71i487LbX3fJI5PoTN6Lp4"
	wpOfTest123Now   = "$wp$2y$10$gN3SQdbNc/cVlK7DylUiVumiuujud7lR0h5J4M2ZsNRMYOFbED16q"
	phpassOfHashcat  = "$P$984478476IagS59wHZvyQMArzfx58u."
	janesID          = "0b8f3c1e-8f5e-4f6a-9c3d-2a1b0c9d8e7f"
)

// firebaseKeys is what the console shows of the sample project of github.com/firebase/scrypt.
const firebaseKeys = `hash_config {
  algorithm: SCRYPT,
  base64_signer_key: jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==,
  base64_salt_separator: Bw==,
  rounds: 8,
  mem_cost: 14,
}
`

// expected is a user after the import. The zero times and texts are not compared.
type expected struct {
	login, pw, email, name, id string
	verified, lockedOut        bool
	since                      string
}

func TestUsersOfOtherSystemsKeepWhatTheyHad(t *testing.T) {
	t.Parallel()
	quoted := func(s string) string {
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for name, tt := range map[string]struct {
		format, file string
		want         []expected
	}{
		"auth0 hashes": {"auth0", `{"_id":{"$oid":"60425dc43519d90068f82973"},"email_verified":true,"email":"jane@example.com","passwordHash":"` + bcryptOfUU + `","password_set_date":{"$date":"2021-03-05T16:34:12.502Z"},"tenant":"t","connection":"c","_tmp_is_unique":true}
{"_id":{"$oid":"60425dc43519d90068f82974"},"email_verified":false,"email":"john@example.com","username":"john","name":"John","created_at":"2020-02-03T04:05:06.789Z","blocked":true,"passwordHash":"` + bcryptOfUU + `"}
`, []expected{
			{login: "jane@example.com", pw: "U*U", email: "jane@example.com", verified: true},
			{login: "john", email: "john@example.com", name: "John", lockedOut: true, since: "2020-02-03T04:05:06.789Z"},
		}},
		"firebase": {"firebase", `{"users":[
{"localId":"a","email":"jane@example.com","emailVerified":true,"passwordHash":"` + firebaseOfUser1 + `","salt":"42xEC+ixf3L2lw==","displayName":"Jane","lastSignedInAt":"1486324738000","createdAt":"1486324738123","disabled":false,"providerUserInfo":[]},
{"localId":"b","email":"john@example.com","emailVerified":false,"createdAt":"1486324738000","disabled":true,"providerUserInfo":[{"providerId":"google.com"}]}]}`, []expected{
			{login: "jane@example.com", pw: "user1password", email: "jane@example.com", name: "Jane", verified: true, since: "2017-02-05T19:58:58.123Z"},
			{login: "john@example.com", email: "john@example.com", lockedOut: true, since: "2017-02-05T19:58:58Z"},
		}},
		"keycloak": {"keycloak", `{"realm":"r","roles":{"realm":[{"name":"admin","users":[1,{}]}]},"users":[
{"id":"` + janesID + `","createdTimestamp":1486324738123,"username":"jane","enabled":true,"emailVerified":true,"firstName":"Jane","lastName":"Doe","email":"jane@example.com","realmRoles":["admin"],
 "credentials":[{"type":"otp","secretData":"{}","credentialData":"{}"},{"id":"c","type":"password","createdDate":1486324738123,
  "secretData":` + quoted(`{"value":"`+pbkdf2OfPassword+`","salt":"TmFDbA==","additionalParameters":{}}`) + `,
  "credentialData":` + quoted(`{"hashIterations":80000,"algorithm":"pbkdf2-sha256","additionalParameters":{}}`) + `}]},
{"id":"0B8F3C1E-8F5E-4F6A-9C3D-2A1B0C9D8E70","username":"john","enabled":false,"emailVerified":false,"lastName":"Doe","email":"john@example.com","credentials":[]}],"clients":[]}`, []expected{
			{login: "jane", pw: "Password", email: "jane@example.com", name: "Jane Doe", id: janesID, verified: true, since: "2017-02-05T19:58:58.123Z"},
			{login: "john", email: "john@example.com", name: "Doe", lockedOut: true},
		}},
		"supabase CSV": {"supabase", `instance_id,id,aud,email,encrypted_password,email_confirmed_at,raw_user_meta_data,created_at,banned_until,deleted_at
00000000-0000-0000-0000-000000000000,` + janesID + `,authenticated,jane@example.com,` + bcryptOfUU + `,2020-02-03 04:05:06.789+00,"{""full_name"":""Jane Doe""}",2020-02-03 04:05:06.789+00,,
00000000-0000-0000-0000-000000000000,0b8f3c1e-8f5e-4f6a-9c3d-2a1b0c9d8e70,authenticated,john@example.com,` + bcryptOfUU + `,NULL,{},2020-02-03 05:05:06+01,9999-01-01 00:00:00+00,NULL
00000000-0000-0000-0000-000000000000,0b8f3c1e-8f5e-4f6a-9c3d-2a1b0c9d8e71,authenticated,gone@example.com,` + bcryptOfUU + `,,{},2020-02-03 05:05:06+01,,2021-02-03 05:05:06+01
`, []expected{
			{login: "jane@example.com", pw: "U*U", email: "jane@example.com", name: "Jane Doe", id: janesID, verified: true, since: "2020-02-03T04:05:06.789Z"},
			{login: "john@example.com", email: "john@example.com", lockedOut: true, since: "2020-02-03T04:05:06Z"},
		}},
		"supabase JSON": {"supabase", `[{"id":"` + janesID + `","email":"jane@example.com","encrypted_password":"` + bcryptOfUU + `","email_confirmed_at":null,"raw_user_meta_data":{"name":"Jane"},"created_at":"2020-02-03T04:05:06.789Z","banned_until":"2020-02-03T04:05:06.789Z"}]`, []expected{
			{login: "jane@example.com", pw: "U*U", email: "jane@example.com", name: "Jane", id: janesID, since: "2020-02-03T04:05:06.789Z"},
		}},
		"aspnet CSV": {"aspnet", byteOrderMark + "Id,UserName,NormalizedUserName,Email,NormalizedEmail,EmailConfirmed,PasswordHash,SecurityStamp,LockoutEnd,LockoutEnabled,AccessFailedCount\r\n" +
			janesID + `,jane,JANE,jane@example.com,JANE@EXAMPLE.COM,1,` + aspnetOfMine + `,X,NULL,1,0` + "\r\n" +
			`0b8f3c1e-8f5e-4f6a-9c3d-2a1b0c9d8e70,john,JOHN,john@example.com,JOHN@EXAMPLE.COM,False,` + aspnetOfMine + `,X,9999-12-31 23:59:59.9999999 +00:00,1,0` + "\r\n", []expected{
			{login: "jane", pw: "my password", email: "jane@example.com", id: janesID, verified: true},
			{login: "john", email: "john@example.com", lockedOut: true},
		}},
		"aspnet JSON": {"aspnet", `[{"Id":"` + janesID + `","UserName":"jane","Email":"jane@example.com","EmailConfirmed":true,"PasswordHash":"` + aspnetOfMine + `","LockoutEnd":"2020-01-01T00:00:00+00:00"}]`, []expected{
			{login: "jane", pw: "my password", email: "jane@example.com", id: janesID, verified: true},
		}},
		"django": {"django", `[{"model":"auth.group","pk":1,"fields":{"name":"editors"}},
{"model":"auth.user","pk":1,"fields":{"password":"pbkdf2_sha256$20000$seasalt$oBSd886ysm3AqYun62DOdin8YcfbU1z9cksZSuLP9r0=","last_login":null,"is_superuser":true,"username":"jane","first_name":"Jane","last_name":"Doe","email":"jane@example.com","is_staff":true,"is_active":true,"date_joined":"2020-02-03T04:05:06.789Z","groups":[1]}},
{"model":"auth.user","pk":2,"fields":{"password":"argon2` + argon2OfTest + `","username":"john","first_name":"","email":"john@example.com","is_active":true}},
{"model":"auth.user","pk":3,"fields":{"password":"bcrypt$` + bcryptOfUU + `","username":"joan","email":"joan@example.com","is_active":true}},
{"model":"auth.user","pk":4,"fields":{"password":"!Jw5","username":"jack","email":"jack@example.com","is_active":false}}]`, []expected{
			{login: "jane", pw: "lètmein", email: "jane@example.com", name: "Jane Doe", since: "2020-02-03T04:05:06.789Z"},
			{login: "john", pw: "test", email: "john@example.com"},
			{login: "joan", pw: "U*U", email: "joan@example.com"},
			{login: "jack", email: "jack@example.com", lockedOut: true},
		}},
		"django JSON lines": {"django", `{"model": "auth.user", "pk": 1, "fields": {"password": "bcrypt$` + bcryptOfUU + `", "username": "jane", "email": "jane@example.com", "is_active": true}}
{"model": "auth.permission", "pk": 1, "fields": {}}
`, []expected{{login: "jane", pw: "U*U", email: "jane@example.com"}}},
		"wordpress CSV": {"wordpress", `"ID","user_login","user_pass","user_nicename","user_email","user_url","user_registered","user_activation_key","user_status","display_name"
"1","jane","` + wpOfTest123Now + `","jane","jane@example.com","","2020-02-03 04:05:06","","0","Jane ""J"" Doe"
"2","john","` + phpassOfHashcat + `","john","john@example.com",\N,"0000-00-00 00:00:00","","0","John"
`, []expected{
			{login: "jane", pw: "Test123Now!", email: "jane@example.com", name: `Jane "J" Doe`, since: "2020-02-03T04:05:06Z"},
			{login: "john", pw: "hashcat", email: "john@example.com", name: "John"},
		}},
		"wordpress JSON": {"wordpress", `[{"ID":1,"user_login":"jane","user_pass":"` + phpassOfHashcat + `","user_email":"jane@example.com","user_registered":"2020-02-03 04:05:06","display_name":"Jane"}]`, []expected{
			{login: "jane", pw: "hashcat", email: "jane@example.com", name: "Jane", since: "2020-02-03T04:05:06Z"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := newDSN(t)
			args := into(dsn, "-format", tt.format)
			if tt.format == "firebase" {
				args = append(args, "-hash-config", newFile(t, firebaseKeys))
			}
			stdout, _ := importing(t, exitOK, append(args, newFile(t, tt.file))...)
			if all := names(t, dsn); len(all) != len(tt.want) {
				t.Errorf("got %q, want %d users: %s", all, len(tt.want), stdout)
			}
			svc, _ := service(t, dsn)
			for _, want := range tt.want {
				u, err := svc.User(t.Context(), app, want.login)
				if err != nil {
					t.Errorf("%s: %v", want.login, err)
					continue
				}
				wantUser(t, u, want)
				if want.pw != "" {
					wantSignIn(t, dsn, want.login, want.pw)
				}
			}
		})
	}
}

func wantUser(t *testing.T, u *users.User, want expected) {
	t.Helper()
	got := expected{u.UserName, want.pw, u.Email, u.Name, u.ID, !u.EmailVerified.IsZero(), u.IsLockedOut, u.CreationDate.Format(time.RFC3339Nano)}
	if want.id == "" {
		got.id = ""
	}
	if want.since == "" {
		got.since = ""
		if time.Since(u.CreationDate) > time.Hour {
			t.Errorf("%s: got the date %v, want now", want.login, u.CreationDate)
		}
	}
	if got != want {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// TestAHashThatCannotBeReadRefusesItsRow rather than making a user who lost the password.
func TestAHashThatCannotBeReadRefusesItsRow(t *testing.T) {
	t.Parallel()
	user := `"email":"jane@example.com"`
	for format, file := range map[string]string{
		"auth0":     `[{` + user + `,"passwordHash":"d41d8cd98f00b204e9800998ecf8427e"}]`,
		"firebase":  `{"users":[{` + user + `,"passwordHash":"x","salt":"y"}]}`,
		"keycloak":  `{"users":[{` + user + `,"username":"jane","credentials":[{"type":"password","secretData":"{}","credentialData":"{\"algorithm\":\"md5\"}"}]}]}`,
		"supabase":  `[{` + user + `,"encrypted_password":"x"}]`,
		"aspnet":    `[{"Email":"jane@example.com","UserName":"jane","PasswordHash":"AQ=="}]`,
		"django":    `[{"model":"auth.user","fields":{` + user + `,"username":"jane","password":"bcrypt_sha256$$2b$12$x"}}]`,
		"wordpress": `[{"user_login":"jane","user_email":"jane@example.com","user_pass":"5f4dcc3b5aa765d61d8327deb882cf99"}]`,
	} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			dsn := newDSN(t)
			args := into(dsn, "-format", format)
			if format == "firebase" {
				args = append(args, "-hash-config", newFile(t, firebaseKeys))
			}
			_, stderr := importing(t, exitRefused, append(args, newFile(t, file))...)
			var n int
			if _, err := fmt.Sscanf(stderr, "row %d: refused: ", &n); err != nil || n != 1 || !strings.Contains(stderr, "/passwordHash") {
				t.Errorf("got %q, want row 1 refused at /passwordHash", stderr)
			}
			wantNames(t, dsn)
		})
	}
}

func TestTheHashParametersOfFirebaseMayBeJSON(t *testing.T) {
	t.Parallel()
	want, err := parseHashConfig([]byte(firebaseKeys))
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseHashConfig([]byte(`{"algorithm":"SCRYPT","base64_signer_key":"` + want.signerKey + `", "base64_salt_separator" : "Bw==","rounds":8,"mem_cost":"14"}`))
	if err != nil || got != want || want.separator != "Bw==" || want.rounds != 8 || want.memCost != 14 {
		t.Errorf("got different parameters (%v)", err)
	}
	for _, text := range []string{"", "rounds: 8", strings.Replace(firebaseKeys, "SCRYPT", "BCRYPT", 1), strings.Replace(firebaseKeys, "rounds: 8", "rounds: x", 1)} {
		if _, err := parseHashConfig([]byte(text)); err == nil || strings.Contains(err.Error(), want.signerKey) {
			t.Errorf("got %v, want an error without the key", err)
		}
	}
}

// TestWhatIsNoUserInAListHarmsNoOther: not an object, or not UTF-8.
func TestWhatIsNoUserInAListHarmsNoOther(t *testing.T) {
	t.Parallel()
	dsn := newDSN(t)
	_, stderr := importing(t, exitRefused, into(dsn, "-format", "auth0", newFile(t, `[1,null,[{}],{"email":"j`+"\xfc"+`rgen@example.com"},{"email":{"a":1}},{"email":"jane@example.com"}]`))...)
	for i := range 5 {
		if !strings.Contains(stderr, fmt.Sprintf("row %d: refused: ", i+1)) {
			t.Errorf("got %q, want row %d refused", stderr, i+1)
		}
	}
	wantNames(t, dsn, "jane@example.com")
}
