package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/httpapi"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

// exampleService is a Service with the application "acme", on a hasher that is
// for examples and tests only.
func exampleService(o users.Options) *users.Service {
	o.Hasher = password.InsecureForTests()
	svc, err := users.New(memstore.New(), &o)
	if err != nil {
		panic(err)
	}
	if _, err := svc.CreateApplication(context.Background(), users.Application{APIKey: "acme"}); err != nil {
		panic(err)
	}
	return svc
}

// backoffice is an Authenticator that knows one token.
func backoffice() httpapi.Authenticator {
	return httpapi.BearerTokens(httpapi.BearerToken{
		Secret: password.New("a long random secret"),
		Caller: users.Caller{ID: "backoffice", APIKey: "acme", Permissions: users.AllPermissions},
	})
}

// send is a client: it sends body to h and returns the answer.
func send(h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// show prints what a client learns from a problem.
func show(w *httptest.ResponseRecorder) {
	var p struct {
		Detail string
		Errors []struct{ Pointer, Code, Detail string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		panic(err)
	}
	fmt.Println(w.Code, p.Detail)
	for _, e := range p.Errors {
		fmt.Println("-", e.Pointer, e.Code, e.Detail)
	}
}

const alice = `{
	"userName": "alice",
	"email": "alice@example.com",
	"password": "an old lantern in the attic",
	"confirmPassword": "an old lantern in the attic"
}`

// The handler is mounted unstripped, on any router: Prefix says where.
func ExampleNew() {
	svc := exampleService(users.Options{})
	api, err := httpapi.New(svc, backoffice(), &httpapi.Options{Prefix: "/v1"})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/v1/", api)

	w := send(mux, "POST", "/v1/acme/users", alice, "Authorization", "Bearer a long random secret")
	fmt.Println(w.Code, strings.HasPrefix(w.Header().Get("Location"), "/v1/acme/users/"))
	w = send(mux, "GET", w.Header().Get("Location"), "", "Authorization", "Bearer a long random secret")
	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	// Output:
	// 201 true
	// 200 application/json
}

func ExampleBearerTokens() {
	authenticate := httpapi.BearerTokens(
		httpapi.BearerToken{
			Secret: password.New("secret of the back office"),
			Caller: users.Caller{ID: "backoffice", APIKey: "acme", Permissions: users.AllPermissions},
		},
		httpapi.BearerToken{
			Secret: password.New("secret of the sign-up page"),
			Caller: users.Caller{ID: "signup", APIKey: "acme", Permissions: users.CreateUsers},
		},
	)
	api, err := httpapi.New(exampleService(users.Options{}), authenticate, nil)
	if err != nil {
		panic(err)
	}

	locked := strings.Replace(alice, "{", `{"isLockedOut": true,`, 1)
	show(send(api, "POST", "/acme/users", locked, "Authorization", "Bearer secret of the sign-up page"))
	show(send(api, "POST", "/acme/users", locked))
	w := send(api, "POST", "/acme/users", locked, "Authorization", "Bearer secret of the back office")
	fmt.Println(w.Code)
	// Output:
	// 403 the caller may not do this
	// - /isLockedOut forbidden the caller may not ask for this
	// 401 this request needs credentials
	// 201
}

// An Authenticator of the host's own takes the caller from the sessions that the
// host has anyway. A session belongs to one application.
func ExampleAuthenticator() {
	type session struct {
		user, apiKey string
		admin        bool
	}
	sessions := map[string]session{"4f9a": {user: "7", apiKey: "acme", admin: true}} // the host's own store

	authenticate := func(r *http.Request, apiKey string) (users.Caller, error) {
		cookie, err := r.Cookie("session")
		if err != nil {
			return users.Caller{}, httpapi.ErrNoCredentials
		}
		s, ok := sessions[cookie.Value]
		if !ok || s.apiKey != apiKey {
			return users.Caller{}, httpapi.ErrInvalidToken
		}
		c := users.Caller{ID: s.user, APIKey: s.apiKey, Permissions: users.CreateUsers}
		if s.admin {
			c.Permissions |= users.ReadUsers | users.SetStatus
		}
		return c, nil
	}
	api, err := httpapi.New(exampleService(users.Options{}), authenticate, &httpapi.Options{Challenge: `Cookie realm="acme"`})
	if err != nil {
		panic(err)
	}

	fmt.Println(send(api, "POST", "/acme/users", alice, "Cookie", "session=4f9a").Code)
	fmt.Println(send(api, "GET", "/acme/users/alice", "", "Cookie", "session=4f9a").Code)
	w := send(api, "GET", "/acme/users/alice", "")
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	// Output:
	// 201
	// 200
	// 401 Cookie realm="acme"
}

// The published clients of this API work as they are. What a token is, the host says:
// here it is a session, which its Authenticator knows then.
func ExampleInterop() {
	sessions := map[string]users.Caller{} // the host's own store, with a lock around it
	authenticate := func(r *http.Request, apiKey string) (users.Caller, error) {
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			return users.Caller{}, httpapi.ErrNoCredentials
		}
		c, ok := sessions[token]
		if !ok || c.APIKey != apiKey {
			return users.Caller{}, httpapi.ErrInvalidToken
		}
		return c, nil
	}
	signIn := func(_ context.Context, apiKey string, u users.User) (httpapi.AccessToken, error) {
		token := "4f9a" // rand.Text() elsewhere
		sessions[token] = users.Caller{ID: u.ID, APIKey: apiKey, UserID: u.ID}
		return httpapi.AccessToken{Secret: password.New(token), ExpiresIn: 20 * time.Minute}, nil
	}

	svc := exampleService(users.Options{})
	api, err := httpapi.New(svc, authenticate, &httpapi.Options{
		Interop: &httpapi.Interop{Origins: []string{"https://app.example.com"}, SignIn: signIn},
	})
	if err != nil {
		panic(err)
	}
	made, err := svc.Create(context.Background(), "acme", users.CreateUserParams{
		UserName: "alice", Email: "alice@example.com", Name: "Alice A.",
		Password: password.New("an old lantern in the attic"), ConfirmPassword: password.New("an old lantern in the attic"),
	})
	if err != nil {
		panic(err)
	}

	w := send(api, "POST", "/acme/login", "grant_type=password&username=alice&password=an+old+lantern+in+the+attic",
		"Content-Type", "application/x-www-form-urlencoded")
	fmt.Println(w.Code, w.Body)
	w = send(api, "GET", "/acme/users/"+users.ShortID(made.ID), "", "Authorization", "Bearer 4f9a", "Origin", "https://app.example.com")
	var u struct{ Name, DisplayName string }
	if err := json.Unmarshal(w.Body.Bytes(), &u); err != nil {
		panic(err)
	}
	fmt.Println(w.Header().Get("Access-Control-Allow-Origin"), u.Name, u.DisplayName)
	// Output:
	// 201 {"access_token":"4f9a","token_type":"bearer","expires_in":1200}
	// https://app.example.com alice Alice A.
}

// A handler of the host's own, beside the API, fails in the same words.
func ExampleHandler_WriteError() {
	svc := exampleService(users.Options{})
	api, err := httpapi.New(svc, backoffice(), nil)
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", api)
	mux.HandleFunc("POST /{apiKey}/users/{id}/approve", func(w http.ResponseWriter, r *http.Request) {
		approved := true
		u, err := svc.SetStatus(r.Context(), r.PathValue("apiKey"), r.PathValue("id"), users.Status{IsApproved: &approved})
		if err != nil {
			api.WriteError(w, r, err)
			return
		}
		fmt.Fprintln(w, u.UserName, "is approved")
	})

	w := send(mux, "POST", "/acme/users/00000000000000000000000001/approve", "")
	fmt.Println(w.Header().Get("Content-Type"))
	show(w)
	// Output:
	// application/problem+json
	// 404 there is nothing at this path
}

// A hook of the Service refuses a user; the client reads the hook's own sentence.
func Example_veto() {
	svc := exampleService(users.Options{
		BeforeCreate: func(_ context.Context, _ users.Application, p *users.CreateUserParams) error {
			if strings.HasSuffix(p.Email, "@example.com") {
				return &users.ForbiddenError{Detail: "sign-up is open to members of the club only"}
			}
			return nil
		},
	})
	api, err := httpapi.New(svc, backoffice(), nil)
	if err != nil {
		panic(err)
	}

	show(send(api, "POST", "/acme/users", alice, "Authorization", "Bearer a long random secret"))
	// Output:
	// 403 sign-up is open to members of the club only
}

// Members that the contract does not know reach the host's hooks, where they are
// checked, and stored in the same transaction as the user.
func ExampleOptions_extraMembers() {
	company := func(extra map[string]json.RawMessage) (name string, err error) {
		if json.Unmarshal(extra["company"], &name) != nil || name == "" {
			return "", &users.ValidationError{Fields: []users.FieldError{
				{Pointer: "/company", Code: "required", Detail: "must be the name of a company"},
			}}
		}
		return name, nil
	}
	svc := exampleService(users.Options{
		BeforeCreate: func(_ context.Context, _ users.Application, p *users.CreateUserParams) error {
			_, err := company(p.Extra)
			return err
		},
		OnCreate: func(_ context.Context, e users.CreateEvent) error {
			name, err := company(e.Extra)
			fmt.Println("in the transaction:", e.User.UserName, "of", name) // such as an INSERT on sqlstore.TxFrom(ctx)
			return err
		},
	})
	api, err := httpapi.New(svc, backoffice(), &httpapi.Options{ExtraMembers: []string{"company"}})
	if err != nil {
		panic(err)
	}

	show(send(api, "POST", "/acme/users", alice, "Authorization", "Bearer a long random secret"))
	of := strings.Replace(alice, "{", `{"company": "Lanterns & Sons",`, 1)
	w := send(api, "POST", "/acme/users", of, "Authorization", "Bearer a long random secret")
	fmt.Println(w.Code, strings.Contains(w.Body.String(), "company"))
	// Output:
	// 400 the request is not valid
	// - /company required must be the name of a company
	// in the transaction: alice of Lanterns & Sons
	// 201 false
}
