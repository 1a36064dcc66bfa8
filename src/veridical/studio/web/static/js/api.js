// Requests to our own server: JSON in, JSON out, one kind of error.

const token = document.querySelector('meta[name="change-token"]').content;

export class ApiError extends Error {
  constructor(status, text, field) {
    super(text);
    this.status = status; // 0: no answer at all
    this.field = field || "";
  }
}

export async function send(method, path, body) {
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: { "content-type": "application/json", "x-change-token": token },
      body: JSON.stringify(body ?? {}),
      credentials: "same-origin",
    });
  } catch {
    throw new ApiError(0, "No connection to the server.");
  }
  let answer = {};
  try {
    answer = await response.json();
  } catch {
    if (response.ok) throw new ApiError(0, "The answer was cut off.");
  }
  if (!response.ok) {
    throw new ApiError(response.status, answer.error || `The server answered ${response.status}.`, answer.field);
  }
  return answer;
}

export const post = (path, body) => send("POST", path, body);

export function newKey() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 15) | 64;
  bytes[8] = (bytes[8] & 63) | 128;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [8, 12, 16, 20].reduceRight((text, at) => `${text.slice(0, at)}-${text.slice(at)}`, hex);
}
