"use strict";

// The link is set-password?application=KEY#token=TOKEN. It is taken out of the
// address bar at once, so that it stays neither there nor in the list of visited
// pages; the tab's history keeps it for a reload until it is used.
const asked = new URLSearchParams(location.search);
const application = asked.get("application") ?? history.state?.application;
const token = new URLSearchParams(location.hash.slice(1)).get("token")
  ?? asked.get("token") ?? history.state?.token;
history.replaceState({ application, token }, "", "set-password");

const form = document.getElementById("form");
const message = document.getElementById("message");
const account = document.getElementById("account");
const username = document.getElementById("username");
const password = document.getElementById("password");
const confirmation = document.getElementById("confirm");
const send = document.getElementById("send");

const deadLink = "This link no longer works: it has been used, has expired or is incomplete. Request a new one.";

// finish replaces the form with a last word, and forgets the link, which is of
// no more use.
function finish(text, kind) {
  history.replaceState(null, "", "set-password");
  form.hidden = true;
  tell(text, kind);
}

function tell(text, kind) {
  message.textContent = text;
  message.className = "message " + kind;
  message.hidden = false;
  message.focus();
}

function mark(input, text) {
  const place = document.getElementById(input.id + "-error");
  place.textContent = text;
  place.hidden = !text;
  input.setAttribute("aria-invalid", text ? "true" : "false");
  if (text) input.focus();
}

function sentence(detail) {
  return "It " + detail + (detail.endsWith(".") ? "" : ".");
}

// check asks whose password the link sets, which uses nothing up: a dead link is
// told before anybody thinks of a password, and a password manager learns the
// name. Without an answer the form is shown all the same.
async function check() {
  if (!application || !token) {
    finish(deadLink, "error");
    return;
  }
  try {
    const answer = await fetch("set-password", {
      method: "POST",
      credentials: "omit",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ application, token }),
      signal: AbortSignal.timeout(5000),
    });
    if (answer.status === 404) {
      finish(deadLink, "error");
      return;
    }
    if (answer.ok) {
      username.defaultValue = (await answer.json()).userName; // stays when the form is reset
      account.hidden = false;
    }
  } catch {
    // Setting the password will tell.
  }
  form.hidden = false;
}

async function setPassword() {
  const answer = await fetch("v1/" + encodeURIComponent(application) + "/recover-password", {
    method: "PUT",
    credentials: "omit",
    headers: { "Content-Type": "application/json", "Accept": "application/json" },
    body: JSON.stringify({ passwordRecoveryToken: token, newPassword: password.value }),
  });
  if (answer.ok) {
    finish("Your password is set. You can close this page and sign in.", "done");
    return;
  }
  const problem = await answer.json().catch(() => ({}));
  const fault = (problem.errors ?? []).find((e) => e.pointer === "/newPassword");
  if (fault) {
    mark(password, sentence(fault.detail));
  } else if (answer.status === 400) {
    finish(deadLink, "error");
  } else {
    tell("Something went wrong. Please try again in a minute.", "error");
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  message.hidden = true;
  mark(confirmation, "");
  mark(password, "");
  if (!password.value) {
    mark(password, "Type a new password.");
    return;
  }
  if (password.value !== confirmation.value) {
    mark(confirmation, "The passwords do not match.");
    return;
  }
  send.disabled = true;
  try {
    await setPassword();
  } catch {
    tell("The server can't be reached. Please try again in a minute.", "error");
  } finally {
    send.disabled = false;
  }
});

document.getElementById("show").addEventListener("change", (event) => {
  password.type = confirmation.type = event.target.checked ? "text" : "password";
});

check();
