//! Who a token or an API key stands for.
