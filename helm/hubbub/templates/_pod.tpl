{{/* Volumes of a pod with the configuration, and where its container mounts them. */}}

{{- define "hubbub.volumeMounts" -}}
- name: config
  mountPath: /etc/hubbub/hubbub.toml
  subPath: hubbub.toml
  readOnly: true
{{- if .Values.tls.enabled }}
- name: tls
  mountPath: /etc/hubbub/tls
  readOnly: true
{{- end }}
{{- if include "hubbub.hasRedisCa" . }}
- name: redis-ca
  mountPath: /etc/hubbub/redis-ca
  readOnly: true
{{- end }}
{{- if or .Values.keyFiles.existingSecret .Values.keyFiles.files }}
- name: keys
  mountPath: /etc/hubbub/keys
  readOnly: true
{{- end }}
{{- if .Values.caBundle.existingConfigMap }}
- name: ca-bundle
  mountPath: /etc/hubbub/ca-bundle
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "hubbub.volumes" -}}
{{- /* 0440 and fsGroup: the node reads them, nobody else. */ -}}
- name: config
  configMap:
    name: {{ include "hubbub.fullname" . }}
{{- if .Values.tls.enabled }}
- name: tls
  secret:
    secretName: {{ include "hubbub.tlsSecretName" . }}
    defaultMode: 0440
{{- end }}
{{- if include "hubbub.hasRedisCa" . }}
{{- $ca := .Values.redis.ca }}
- name: redis-ca
  {{- if $ca.existingSecret }}
  secret:
    secretName: {{ $ca.existingSecret }}
    defaultMode: 0440
  {{- else }}
  configMap:
    name: {{ default (printf "%s-redis-ca" (include "hubbub.fullname" .)) $ca.existingConfigMap }}
  {{- end }}
    items:
      - {key: {{ $ca.key }}, path: ca.crt}
{{- end }}
{{- if or .Values.keyFiles.existingSecret .Values.keyFiles.files }}
- name: keys
  secret:
    secretName: {{ include "hubbub.keyFilesSecretName" . }}
    defaultMode: 0440
{{- end }}
{{- if .Values.caBundle.existingConfigMap }}
- name: ca-bundle
  configMap:
    name: {{ .Values.caBundle.existingConfigMap }}
    items:
      - {key: {{ .Values.caBundle.key }}, path: ca-certificates.crt}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The address of a mounted file or of the ConfigMap decides when pods are replaced. */}}
{{- define "hubbub.checksums" -}}
checksum/config: {{ include (print $.Template.BasePath "/configmap.yaml") . | sha256sum }}
{{- /* What was generated stays as it is, so only what was given counts. */}}
checksum/secrets: {{ list .Values.secrets .Values.redis .Values.keyFiles | toJson | sha256sum }}
{{- end -}}
