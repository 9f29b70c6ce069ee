// Tokens of our own: HS256 with the secret of the server.
import crypto from "k6/crypto";
import encoding from "k6/encoding";

const HEAD = encoding.b64encode(JSON.stringify({ alg: "HS256", typ: "JWT" }), "rawurl");
const SPARE_SECONDS = 1800;

/** A token for `user` with further `claims`, good for the run and half an hour. */
export function token(config, user, claims) {
  const now = Math.floor(Date.now() / 1000);
  const all = { sub: user, realm: config.realm, iat: now, exp: now + Math.ceil(config.duration / 1000) + SPARE_SECONDS, ...claims };
  const signed = `${HEAD}.${encoding.b64encode(JSON.stringify(all), "rawurl")}`;
  return `${signed}.${crypto.hmac("sha256", config.secret, signed, "base64rawurl")}`;
}
