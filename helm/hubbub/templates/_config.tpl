{{/* The configuration of a node: what the file says, and what is derived from it. */}}

{{/*
The keys of the file: `config`, with the paths of what this chart mounts. The listeners are
variables, since those of the image would override the file.
*/}}
{{- define "hubbub.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $derived := dict -}}
{{- if .Values.tls.enabled -}}
{{- $_ := set $derived "public" (dict "tls_cert" "/etc/hubbub/tls/tls.crt" "tls_key" "/etc/hubbub/tls/tls.key") -}}
{{- end -}}
{{- if include "hubbub.hasRedisCa" . -}}
{{- $_ := set $derived "redis" (dict "tls_ca" "/etc/hubbub/redis-ca/ca.crt") -}}
{{- end -}}
{{- if .Values.persistence.enabled -}}
{{- $_ := set $derived "data" (dict "dir" "/var/lib/hubbub") -}}
{{- end -}}
{{- $config = mergeOverwrite $config $derived -}}
{{- $_ := unset $config.public "listen" -}}
{{- $_ := unset $config.internal "listen" -}}
{{- if $config.node -}}{{- $_ := unset $config.node "id" -}}{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* A value as TOML. YAML's whole numbers arrive as decimals. */}}
{{- define "hubbub.toml.value" -}}
{{- if kindIs "string" . -}}
{{- toJson . -}}
{{- else if kindIs "slice" . -}}
[{{- range $index, $item := . }}{{ if $index }}, {{ end }}{{ include "hubbub.toml.value" $item }}{{ end -}}]
{{- else if and (kindIs "float64" .) (eq (floor .) .) -}}
{{- int64 . -}}
{{- else -}}
{{- . -}}
{{- end -}}
{{- end -}}

{{/* A table as TOML: its values, then the tables in it. Takes `path` and `table`. */}}
{{- define "hubbub.toml.table" -}}
{{- $path := .path -}}
{{- $values := list -}}
{{- range $key, $value := .table -}}
{{- $isTables := and (kindIs "slice" $value) $value (kindIs "map" (first $value)) -}}
{{- if not (or (kindIs "map" $value) (kindIs "invalid" $value) $isTables) -}}
{{- $values = append $values (printf "%s = %s" $key (include "hubbub.toml.value" $value)) -}}
{{- end -}}
{{- end -}}
{{- if $values }}
{{ if $path }}
[{{ $path }}]
{{ end }}
{{- join "\n" $values }}
{{- end }}
{{- range $key, $value := .table }}
{{- $below := $key }}
{{- if $path }}{{ $below = printf "%s.%s" $path $key }}{{ end }}
{{- if kindIs "map" $value }}
{{- include "hubbub.toml.table" (dict "path" $below "table" $value) }}
{{- else if and (kindIs "slice" $value) $value (kindIs "map" (first $value)) }}
{{- range $value }}

[[{{ $below }}]]
{{- range $field, $item := . }}
{{ $field }} = {{ include "hubbub.toml.value" $item }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "hubbub.toml" -}}
{{- include "hubbub.toml.table" (dict "path" "" "table" (include "hubbub.config" . | fromYaml)) | trim -}}
{{- end -}}

{{/* The port of an address such as `0.0.0.0:8065` or `[::]:8065`. */}}
{{- define "hubbub.port" -}}
{{- regexFind "[0-9]+$" . -}}
{{- end -}}

{{/* Milliseconds of a duration such as `1m30s` or `250ms`. */}}
{{- define "hubbub.milliseconds" -}}
{{- $milliseconds := 0 -}}
{{- $units := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 "d" 86400000 -}}
{{- range regexFindAll "[0-9]+(ms|s|m|h|d)" . -1 -}}
{{- $factor := get $units (regexFind "[a-z]+$" .) -}}
{{- $milliseconds = add $milliseconds (mul $factor (regexFind "^[0-9]+" . | int64)) -}}
{{- end -}}
{{- $milliseconds -}}
{{- end -}}

{{/* Its whole seconds, rounded up. */}}
{{- define "hubbub.seconds" -}}
{{- div (add (include "hubbub.milliseconds" . | int64) 999) 1000 -}}
{{- end -}}

{{/* How long a stopping node has sockets: not ready, then draining. */}}
{{- define "hubbub.drainSeconds" -}}
{{- $shutdown := .Values.config.shutdown -}}
{{- $delay := include "hubbub.seconds" $shutdown.ready_delay | int64 -}}
{{- $drain := include "hubbub.seconds" $shutdown.drain | int64 -}}
{{- add $delay $drain -}}
{{- end -}}

{{/* What it needs: that, and a reserve for the rest of the stop. */}}
{{- define "hubbub.stopSeconds" -}}
{{- add (include "hubbub.drainSeconds" . | int64) 15 -}}
{{- end -}}

{{/*
How long a new node is watched before the next one is replaced. Kubernetes does not wait for the one that stops, so
this is what lets one drain end before the next begins. A node alone has nobody to wait for.
*/}}
{{- define "hubbub.minReadySeconds" -}}
{{- if not (kindIs "invalid" .Values.minReadySeconds) -}}
{{- int .Values.minReadySeconds -}}
{{- else if include "hubbub.hasRedis" . -}}
{{- include "hubbub.drainSeconds" . -}}
{{- else -}}
5
{{- end -}}
{{- end -}}

{{/* Not empty when nodes share a Redis. */}}
{{- define "hubbub.hasRedis" -}}
{{- $file := dig "redis" "url_file" "" .Values.config -}}
{{- if or .Values.devRedis.enabled .Values.redis.url .Values.redis.existingSecret.urlKey $file -}}true{{- end -}}
{{- end -}}

{{- define "hubbub.hasRedisCa" -}}
{{- with .Values.redis.ca -}}
{{- if or .pem .existingConfigMap .existingSecret -}}true{{- end -}}
{{- end -}}
{{- end -}}

{{/* Not empty when there is to be one key for all tokens, and one for the server API. */}}
{{- define "hubbub.hasAuthSecret" -}}
{{- $auth := default dict .Values.config.auth -}}
{{- if not (or $auth.jwks_url $auth.keys $auth.secret_file) -}}true{{- end -}}
{{- if and (or $auth.jwks_url $auth.keys) (not $auth.secret_file) .Values.secrets.authSecret -}}true{{- end -}}
{{- end -}}

{{- define "hubbub.hasApiKey" -}}
{{- $internal := .Values.config.internal -}}
{{- if not (or $internal.api_keys $internal.api_key_file) -}}true{{- end -}}
{{- if and $internal.api_keys (not $internal.api_key_file) .Values.secrets.apiKey -}}true{{- end -}}
{{- end -}}

{{/* The variables of a node. */}}
{{- define "hubbub.env" -}}
- name: HUBBUB_NODE__ID
  {{- with dig "node" "id" "" .Values.config }}
  value: {{ . | quote }}
  {{- else }}
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
  {{- end }}
- name: HUBBUB_PUBLIC__LISTEN
  value: {{ .Values.config.public.listen | quote }}
- name: HUBBUB_INTERNAL__LISTEN
  value: {{ .Values.config.internal.listen | quote }}
{{- if include "hubbub.hasAuthSecret" . }}
- name: HUBBUB_AUTH__SECRET
  valueFrom:
    secretKeyRef:
      name: {{ include "hubbub.secretName" . }}
      key: {{ .Values.secrets.authSecretKey }}
{{- end }}
{{- if include "hubbub.hasApiKey" . }}
- name: HUBBUB_INTERNAL__API_KEY
  valueFrom:
    secretKeyRef:
      name: {{ include "hubbub.secretName" . }}
      key: {{ .Values.secrets.apiKeyKey }}
{{- end }}
{{- $given := .Values.redis.existingSecret }}
{{- if or .Values.devRedis.enabled .Values.redis.url $given.urlKey }}
- name: HUBBUB_REDIS__URL
  valueFrom:
    secretKeyRef:
      {{- if $given.urlKey }}
      name: {{ $given.name }}
      key: {{ $given.urlKey }}
      {{- else }}
      name: {{ include "hubbub.fullname" . }}-redis
      key: redis-url
      {{- end }}
{{- end }}
{{- if or .Values.devRedis.enabled .Values.redis.password $given.passwordKey }}
- name: HUBBUB_REDIS__PASSWORD
  valueFrom:
    secretKeyRef:
      {{- if $given.passwordKey }}
      name: {{ $given.name }}
      key: {{ $given.passwordKey }}
      {{- else }}
      name: {{ include "hubbub.fullname" . }}-redis
      key: redis-password
      {{- end }}
{{- end }}
{{- if .Values.caBundle.existingConfigMap }}
- name: SSL_CERT_FILE
  value: /etc/hubbub/ca-bundle/ca-certificates.crt
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
