// k6/encoding
export default {
  b64encode(text, encoding) {
    if (encoding !== "rawurl") throw new Error(`the encoding ${encoding} is not known here`);
    return Buffer.from(text).toString("base64url");
  },
};
