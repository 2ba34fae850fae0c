package users_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gousers/users"
	"github.com/gousers/users/memstore"
	"github.com/gousers/users/password"
)

func Example() {
	ctx := context.Background()
	svc, err := users.New(memstore.New(), nil)
	if err != nil {
		panic(err)
	}
	if _, err := svc.CreateApplication(ctx, users.Application{APIKey: "acme"}); err != nil {
		panic(err)
	}
	u, err := svc.Create(ctx, "acme", users.CreateUserParams{
		UserName:        "Alice",
		Email:           "alice@example.com",
		Password:        password.New("an old lantern in the attic"),
		ConfirmPassword: password.New("an old lantern in the attic"),
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(u.UserName, u.Email, u.IsApproved)

	found, err := svc.User(ctx, "acme", "alice") // names are compared without case
	if err != nil {
		panic(err)
	}
	fmt.Println(found.ID == u.ID)
	// Output:
	// Alice alice@example.com true
	// true
}

// exampleService is a Service with the application "acme" and a hasher that is
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

func exampleParams(name string) users.CreateUserParams {
	pw := password.New("an old lantern in the attic")
	return users.CreateUserParams{UserName: name, Email: name + "@example.com", Password: pw, ConfirmPassword: pw}
}

// Every invalid member is in one answer.
func ExampleValidationError() {
	svc := exampleService(users.Options{})
	p := exampleParams("alice")
	p.UserName, p.ConfirmPassword = "", password.New("something else")
	_, err := svc.Create(context.Background(), "acme", p)
	var invalid *users.ValidationError
	if errors.As(err, &invalid) {
		for _, f := range invalid.Fields {
			fmt.Println(f.Pointer, f.Code, "-", f.Detail)
		}
	}
	// Output:
	// /userName required - is required
	// /confirmPassword mismatch - must be equal to password
}

func ExampleConflictError() {
	ctx := context.Background()
	svc := exampleService(users.Options{})
	if _, err := svc.Create(ctx, "acme", exampleParams("alice")); err != nil {
		panic(err)
	}
	_, err := svc.Create(ctx, "acme", exampleParams("ALICE"))
	var taken *users.ConflictError
	if errors.As(err, &taken) {
		fmt.Println(taken.Members)
	}
	// Output: [userName email]
}

// A caller that the host authenticated may do what its permissions say.
func ExampleWithCaller() {
	svc := exampleService(users.Options{RequireCaller: true})
	signUp := users.WithCaller(context.Background(), users.Caller{
		ID: "sign-up form", APIKey: "acme", Permissions: users.CreateUsers,
	})
	p := exampleParams("alice")
	p.AllowDashboardAccess = true
	_, err := svc.Create(signUp, "acme", p)
	fmt.Println(err)

	_, err = svc.Create(context.Background(), "acme", p)
	fmt.Println(err)
	// Output:
	// users: forbidden: no permission for: allowDashboardAccess
	// users: not authenticated
}

func ExampleService_CreateRole() {
	ctx := context.Background()
	svc := exampleService(users.Options{})
	for _, name := range []string{"editor", "chief"} {
		if _, err := svc.CreateRole(ctx, "acme", users.Role{Name: name}); err != nil {
			panic(err)
		}
	}
	// This caller may make editors, and learns nothing of other roles.
	desk := users.WithCaller(ctx, users.Caller{
		ID: "desk", APIKey: "acme", Permissions: users.CreateUsers | users.AssignRoles, AssignableRoles: []users.RoleRef{{Name: "editor"}},
	})
	p := exampleParams("alice")
	p.Roles = []users.RoleRef{{Name: "editor"}}
	u, err := svc.Create(desk, "acme", p)
	if err != nil {
		panic(err)
	}
	fmt.Println(u.Roles[0].Name)

	p = exampleParams("bob")
	p.Roles = []users.RoleRef{{Name: "chief"}}
	_, err = svc.Create(desk, "acme", p)
	fmt.Println(err)
	// Output:
	// editor
	// users: forbidden: no permission for: roles
}

// A request that may have been answered already is repeated with its key.
func ExampleCreateUserParams_idempotencyKey() {
	ctx := context.Background()
	svc := exampleService(users.Options{})
	p := exampleParams("alice")
	p.IdempotencyKey = "0b5c1a52-form-17"
	first, err := svc.Create(ctx, "acme", p)
	if err != nil {
		panic(err)
	}
	again, err := svc.Create(ctx, "acme", p)
	fmt.Println(again.ID == first.ID, err)

	p.Name = "Another Alice"
	_, err = svc.Create(ctx, "acme", p)
	fmt.Println(errors.Is(err, users.ErrIdempotencyMismatch))
	// Output:
	// true <nil>
	// true
}

// Hooks amend a request, refuse it with a sentence of the host's own, or add to
// its transaction. Over HTTP these refusals are a 403 and a 400 with that sentence.
func ExampleOptions_hooks() {
	svc := exampleService(users.Options{
		BeforeCreate: func(_ context.Context, app users.Application, p *users.CreateUserParams) error {
			switch {
			case p.UserName == "mallory":
				return &users.ForbiddenError{Detail: "this name is not available at " + app.APIKey}
			case len(p.Extra["company"]) == 0: // a member of the request that is the host's own
				return &users.ValidationError{Fields: []users.FieldError{
					{Pointer: "/company", Code: "required", Detail: "is required"},
				}}
			}
			return nil
		},
		OnCreate: func(_ context.Context, e users.CreateEvent) error {
			fmt.Printf("inside the transaction: %s of %s\n", e.User.UserName, e.Extra["company"])
			return nil
		},
		AfterCreate: func(_ context.Context, e users.CreateEvent) {
			fmt.Println("durable:", e.User.UserName, "at", e.Application.APIKey)
		},
	})
	ctx := context.Background()
	for _, name := range []string{"alice", "mallory", "bob"} {
		p := exampleParams(name)
		if name != "bob" {
			p.Extra = map[string]json.RawMessage{"company": json.RawMessage(`"Acme"`)}
		}
		_, err := svc.Create(ctx, "acme", p)
		fmt.Println(err)
	}
	// Output:
	// inside the transaction: alice of "Acme"
	// durable: alice at acme
	// <nil>
	// users: BeforeCreate: users: forbidden: this name is not available at acme
	// users: BeforeCreate: users: invalid: /company: is required
}

// clientKey is where the host's middleware puts the address of the client:
//
//	host, _, _ := net.SplitHostPort(r.RemoteAddr)
//	next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), clientKey{}, host)))
type clientKey struct{}

// limiter lets each client try a few times in a period.
type limiter struct {
	limit  int
	period time.Duration

	mu    sync.Mutex
	began time.Time
	tries map[string]int // by client, since began
}

func (l *limiter) Admit(ctx context.Context, _ users.Attempt) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.began) >= l.period {
		l.began, l.tries = time.Now(), map[string]int{} // forgets the clients that left
	}

	client, _ := ctx.Value(clientKey{}).(string)
	if l.tries[client]++; l.tries[client] > l.limit {
		return &users.TooManyRequestsError{RetryAfter: l.period - time.Since(l.began)}
	}
	return nil
}

// A limit for the operations that anybody may call. Over HTTP the third answer
// is a 429 with Retry-After.
func ExampleOptions_admit() {
	l := &limiter{limit: 2, period: time.Minute}
	svc := exampleService(users.Options{Admit: l.Admit})
	for _, client := range []string{"192.0.2.7", "192.0.2.7", "192.0.2.7", "198.51.100.1"} {
		ctx := context.WithValue(context.Background(), clientKey{}, client)
		err := svc.RecoverPassword(ctx, "acme", "alice")
		var limited *users.TooManyRequestsError
		fmt.Println(client, err == nil, errors.As(err, &limited) && limited.RetryAfter <= time.Minute)
	}
	// Output:
	// 192.0.2.7 true false
	// 192.0.2.7 true false
	// 192.0.2.7 false true
	// 198.51.100.1 true false
}

// Inside a transaction of the host's own, the hash comes first and the commit last.
func ExampleService_InTx() {
	ctx := context.Background()
	store := memstore.New() // sqlstore's WithTx returns a store inside an *sql.Tx
	svc, err := users.New(store, &users.Options{
		Hasher:      password.InsecureForTests(),
		AfterCreate: func(context.Context, users.CreateEvent) { fmt.Println("not printed: the host has not committed") },
	})
	if err != nil {
		panic(err)
	}
	if _, err := svc.CreateApplication(ctx, users.Application{APIKey: "acme"}); err != nil {
		panic(err)
	}

	prepared, err := svc.Prepare(ctx, "acme", exampleParams("alice")) // checks and hashes
	if err != nil {
		panic(err)
	}
	// …begin the transaction…
	u, err := svc.InTx(store).CreatePrepared(ctx, prepared)
	if err != nil {
		panic(err)
	}
	// …write rows of your own, and commit…
	fmt.Println(u.UserName)
	// Output: alice
}

// An application can ask for approval, which is given later.
func ExampleService_SetStatus() {
	ctx := context.Background()
	svc := exampleService(users.Options{})
	if _, err := svc.CreateApplication(ctx, users.Application{APIKey: "club", RequireApproval: true}); err != nil {
		panic(err)
	}
	u, err := svc.Create(ctx, "club", exampleParams("alice"))
	if err != nil {
		panic(err)
	}
	fmt.Println(u.IsApproved)
	yes := true
	u, err = svc.SetStatus(ctx, "club", u.ID, users.Status{IsApproved: &yes})
	fmt.Println(u.IsApproved, err)
	// Output:
	// false
	// true <nil>
}

// Under load a caller is told when to come again.
func ExampleService_Overloaded() {
	gate, err := password.NewGate(&password.GateOptions{Slots: 1, Queue: 1, MaxWait: time.Second})
	if err != nil {
		panic(err)
	}
	svc := exampleService(users.Options{Gate: gate})
	if wait, busy := svc.Overloaded("acme"); busy {
		fmt.Println("try again in", wait)
	} else {
		fmt.Println("come in")
	}
	// Output: come in
}

func ExampleService_Import() {
	ctx := context.Background()
	svc, err := users.New(memstore.New(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := svc.CreateApplication(ctx, users.Application{APIKey: "demo"}); err != nil {
		fmt.Println(err)
		return
	}

	// What the old system had: a hash for each user.
	old := [][3]string{
		{"ann", "ann@example.com", "$2b$04$VvlCUKbTMjaxaYJ.k5juoecpG/7IzcH1AkmqKi.lIZMVIOLClWAk."},
		{"bob", "bob@example.com", "5f4dcc3b5aa765d61d8327deb882cf99"},
		{"cid", "ANN@example.com", "$1$ec6XvcoW$ghEtNK2U1MC5l.Dwgi3020"},
	}
	rows := func(yield func(users.ImportUser, error) bool) {
		for _, o := range old {
			row := users.ImportUser{EmailVerified: true}
			row.UserName, row.Email, row.PasswordHash = o[0], o[1], password.NewHash(o[2])
			if !yield(row, nil) {
				return
			}
		}
	}
	for r, err := range svc.Import(ctx, "demo", rows, nil) {
		if err != nil {
			fmt.Println("broken off:", err) // run it again: what was written is "exists" then
			return
		}
		fmt.Println(r.Row, r.Outcome, r.Err)
	}
	// Output:
	// 1 created <nil>
	// 2 refused users: invalid: /passwordHash: must be a hash of a known form
	// 3 duplicate users: conflict: already taken: email
}
