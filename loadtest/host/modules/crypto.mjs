// k6/crypto
import { createHmac } from "node:crypto";

export default {
  hmac(algorithm, secret, data, encoding) {
    if (encoding !== "base64rawurl") throw new Error(`the encoding ${encoding} is not known here`);
    return createHmac(algorithm, secret).update(data).digest("base64url");
  },
};
