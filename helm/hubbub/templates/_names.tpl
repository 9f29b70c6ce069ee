{{/* Names and labels. */}}

{{- define "hubbub.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/*
At most 40 letters, so that what is appended below still fits into 63. A longer name ends in a hash, or two that begin
alike would be one.
*/}}
{{- define "hubbub.fullname" -}}
{{- $name := printf "%s-%s" .Release.Name (include "hubbub.name" .) -}}
{{- if .Values.fullnameOverride -}}
{{- $name = .Values.fullnameOverride -}}
{{- else if contains (include "hubbub.name" .) .Release.Name -}}
{{- $name = .Release.Name -}}
{{- end -}}
{{- if gt (len $name) 40 -}}
{{- $name = printf "%s-%s" (trunc 31 $name | trimSuffix "-") (sha256sum $name | trunc 8) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{- define "hubbub.selectorLabels" -}}
app.kubernetes.io/name: {{ include "hubbub.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: node
{{- end -}}

{{- define "hubbub.ownLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: hubbub
{{- end -}}

{{- define "hubbub.labels" -}}
{{ include "hubbub.ownLabels" . }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels of what belongs to the nodes. */}}
{{- define "hubbub.nodeLabels" -}}
{{ include "hubbub.selectorLabels" . }}
{{ include "hubbub.labels" . }}
{{- end -}}

{{/* The same and those of a value, which win over `commonLabels`. Takes `root` and `more`. */}}
{{- define "hubbub.nodeLabelsAnd" -}}
{{- toYaml (merge (dict) (default dict .more) (include "hubbub.nodeLabels" .root | fromYaml)) -}}
{{- end -}}

{{- define "hubbub.devRedisSelectorLabels" -}}
app.kubernetes.io/name: {{ include "hubbub.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: dev-redis
{{- end -}}

{{- define "hubbub.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "hubbub.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "hubbub.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "hubbub.secretName" -}}
{{- default (include "hubbub.fullname" .) .Values.secrets.existingSecret -}}
{{- end -}}


{{- define "hubbub.tlsSecretName" -}}
{{- default (printf "%s-tls" (include "hubbub.fullname" .)) .Values.tls.existingSecret -}}
{{- end -}}

{{- define "hubbub.keyFilesSecretName" -}}
{{- default (printf "%s-keys" (include "hubbub.fullname" .)) .Values.keyFiles.existingSecret -}}
{{- end -}}
