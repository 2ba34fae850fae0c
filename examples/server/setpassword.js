"use strict";

// The link is set-password?application=KEY#token=TOKEN. The token is taken out
// of the address bar at once, so that it stays neither there nor in the history.
const application = new URLSearchParams(location.search).get("application");
const token = new URLSearchParams(location.hash.slice(1)).get("token")
  ?? new URLSearchParams(location.search).get("token");
history.replaceState(null, "", "set-password");

const form = document.getElementById("form");
const message = document.getElementById("message");
const password = document.getElementById("password");
const confirmation = document.getElementById("confirm");
const send = document.getElementById("send");

const deadLink = "This link no longer works: it has been used, has expired or is incomplete. Request a new one.";

// finish replaces the form with a last word.
function finish(text, kind) {
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

if (!application || !token) finish(deadLink, "error");
