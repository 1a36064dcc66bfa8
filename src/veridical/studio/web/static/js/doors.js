// The doors: a link whose secret stands after "#", or a name and a password.

import { post } from "./api.js";

const message = document.getElementById("message");
const byId = (id) => document.getElementById(id);

async function enter(path, body) {
  message.textContent = "";
  try {
    const answer = await post(path, body);
    if (answer.needs_name) {
      byId("wait").hidden = true;
      byId("join").hidden = false;
      byId("name").focus();
    } else {
      location.replace(answer.next);
    }
  } catch (error) {
    message.textContent = error.message;
    if (byId("wait")) byId("wait").hidden = true;
  }
}

const values = () => ({ name: byId("name").value, password: byId("password").value });

if (byId("join")) {
  const secret = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  byId("join").addEventListener("submit", (event) => {
    event.preventDefault();
    enter("/api/join", { secret, ...values() });
  });
  if (secret) enter("/api/join", { secret });
  else {
    byId("wait").hidden = true;
    message.textContent = "This page is opened by a link. Ask the lead of the project for one.";
  }
} else {
  byId("login").addEventListener("submit", (event) => {
    event.preventDefault();
    enter("/api/login", values());
  });
  byId("name").focus();
}
