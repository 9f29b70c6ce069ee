# The image of hubbub: one static program and nothing else.
#
#   docker build -t hubbub .                                   builds everything
#   scripts/image                                              packs a program that was built before
#   docker build --build-arg RUNTIME_IMAGE=debian:bookworm-slim .   with a shell in it, to look around

ARG BUILD_IMAGE=docker.io/library/rust:1.95-bookworm
ARG RUNTIME_IMAGE=scratch

FROM ${RUNTIME_IMAGE} AS base
LABEL org.opencontainers.image.title="hubbub" \
      org.opencontainers.image.description="A cluster-aware WebSocket server for chat-like applications" \
      org.opencontainers.image.licenses="Apache-2.0"
# Nobody: no name is needed, and nothing belongs to it.
USER 65532:65532
# Public, internal.
EXPOSE 8065 8067
# In a container loopback would be a listener that nobody reaches.
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    HUBBUB_PUBLIC__LISTEN=0.0.0.0:8065 \
    HUBBUB_INTERNAL__LISTEN=0.0.0.0:8067
# No argument means `serve`.
ENTRYPOINT ["/usr/local/bin/hubbub"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/usr/local/bin/hubbub", "healthcheck"]

# A program that was built before, static or fit for the runtime image.
FROM base AS prebuilt
ARG BINARY=dist/hubbub
# A pattern, because outgoing TLS can do without: the certificates are copied when they are there.
COPY dist/ca-certificates.cr[t] /etc/ssl/certs/
COPY --chmod=0755 ${BINARY} /usr/local/bin/hubbub

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
ENV RUSTFLAGS="-C target-feature=+crt-static" \
    CARGO_PROFILE_RELEASE_STRIP=debuginfo
# The dependencies in a layer of their own, which only a change of a manifest makes anew. The members of
# the workspace stand empty meanwhile.
COPY Cargo.toml Cargo.lock ./
COPY check/Cargo.toml check/
COPY faults/Cargo.toml faults/
RUN mkdir -p src tests/it benches check/src check/tests/suite faults/src \
    && for file in src/main.rs benches/encode.rs benches/fanout.rs tests/it/main.rs \
        check/src/main.rs check/tests/suite/main.rs faults/src/main.rs; do \
        echo 'fn main() {}' > "$file"; done \
    && touch src/lib.rs check/src/lib.rs faults/src/lib.rs \
    && cargo build --release --locked --package hubbub --bin hubbub --target "$(rustc -vV | sed -n 's/^host: //p')"
COPY src src
# The copied files may be older than the empty ones.
RUN find src -name '*.rs' -exec touch {} + \
    && target=$(rustc -vV | sed -n 's/^host: //p') \
    && cargo build --release --locked --package hubbub --bin hubbub --target "$target" \
    && install -D "target/$target/release/hubbub" /out/hubbub

FROM base
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chmod=0755 /out/hubbub /usr/local/bin/hubbub
