// Package routers shows how the API is mounted on the routers that Go hosts
// have. Its tests send the same requests through each of them.
//
// The handler is mounted unstripped: httpapi.Options.Prefix says where it hangs,
// and it both routes and links by that.
package routers

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	"github.com/gorilla/mux"
	"github.com/labstack/echo/v4"
)

// Prefix is what the handlers were made with.
const Prefix = "/v1"

// NetHTTP mounts api on the standard library's router.
func NetHTTP(api http.Handler) http.Handler {
	m := http.NewServeMux()
	m.Handle(Prefix+"/", api)
	return m
}

// Chi mounts api on chi, whose Mount does not strip the prefix.
func Chi(api http.Handler) http.Handler {
	r := chi.NewRouter()
	r.Mount(Prefix, api)
	return r
}

// Gorilla mounts api on gorilla/mux.
func Gorilla(api http.Handler) http.Handler {
	r := mux.NewRouter()
	r.PathPrefix(Prefix + "/").Handler(api)
	return r
}

// Gin mounts api on gin.
func Gin(api http.Handler) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Any(Prefix+"/*path", gin.WrapH(api))
	return r
}

// Echo mounts api on echo.
func Echo(api http.Handler) http.Handler {
	e := echo.New()
	e.Any(Prefix+"/*", echo.WrapHandler(api))
	return e
}

// Fiber mounts api on fiber. Fiber never ends the context of a request: the
// API's own deadline (httpapi.Options.Timeout) does.
func Fiber(api http.Handler) *fiber.App {
	app := fiber.New(fiber.Config{DisableStartupMessage: true, BodyLimit: 1 << 20})
	app.All(Prefix+"/*", adaptor.HTTPHandler(api))
	return app
}
