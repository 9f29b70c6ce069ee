{{/* Values that fit the schema one by one, but not together. */}}

{{- define "hubbub.check" -}}
{{- $values := .Values -}}
{{- $redis := include "hubbub.hasRedis" . -}}
{{- $config := .Values.config -}}
{{- $many := or $values.autoscaling.enabled (gt (int $values.replicaCount) 1) -}}
{{- if and $many (not $redis) -}}
{{- fail "more than one node needs a Redis: set redis.url or redis.existingSecret (for a trial devRedis.enabled=true), or replicaCount=1" -}}
{{- end -}}
{{- if and $many (dig "node" "id" "" $config) -}}
{{- fail "config.node.id would give every node the same name: leave it empty, then it is the name of the pod" -}}
{{- end -}}
{{- if and $values.persistence.enabled $redis -}}
{{- fail "persistence is for one node without Redis: with Redis all data is there" -}}
{{- end -}}
{{- if and $values.devRedis.enabled (or $values.redis.url $values.redis.existingSecret.name (dig "redis" "url_file" "" $config)) -}}
{{- fail "devRedis.enabled and a Redis of your own exclude each other" -}}
{{- end -}}
{{- $mode := dig "redis" "mode" "standalone" $config -}}
{{- if and $values.devRedis.enabled (or (ne $mode "standalone") (include "hubbub.hasRedisCa" .) (dig "redis" "username" "" $config)) -}}
{{- fail "devRedis is a plain single server: no config.redis.mode, no config.redis.username, no redis.ca" -}}
{{- end -}}
{{- if and (ne $mode "standalone") (not $redis) -}}
{{- fail (printf "config.redis.mode=%s needs redis.url or redis.existingSecret" $mode) -}}
{{- end -}}
{{- if ne (eq $mode "sentinel") (ne (dig "redis" "sentinel_master" "" $config) "") -}}
{{- fail "config.redis.sentinel_master belongs to config.redis.mode=sentinel, which needs it" -}}
{{- end -}}
{{- $given := $values.redis.existingSecret -}}
{{- if and $given.name (not (or $given.urlKey $given.passwordKey)) -}}
{{- fail "redis.existingSecret.name is set: say its keys, urlKey or passwordKey or both" -}}
{{- end -}}
{{- if and (or $given.urlKey $given.passwordKey) (not $given.name) -}}
{{- fail "redis.existingSecret has a key but no name" -}}
{{- end -}}
{{- if or (and $values.redis.url $given.urlKey) (and $values.redis.password $given.passwordKey) -}}
{{- fail "redis.existingSecret and redis.url or redis.password give the same thing twice" -}}
{{- end -}}
{{- if and $values.secrets.existingSecret (or $values.secrets.authSecret $values.secrets.apiKey) -}}
{{- fail "secrets.existingSecret and secrets.authSecret or secrets.apiKey exclude each other" -}}
{{- end -}}
{{- if ne (empty $values.tls.certificate) (empty $values.tls.key) -}}
{{- fail "tls.certificate and tls.key belong together" -}}
{{- end -}}
{{- if and $values.tls.existingSecret $values.tls.certificate -}}
{{- fail "tls.existingSecret and tls.certificate exclude each other" -}}
{{- end -}}
{{- if and $values.httpRoute.enabled (not $values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.enabled needs httpRoute.parentRefs: the Gateway that it belongs to" -}}
{{- end -}}
{{- with $values.autoscaling -}}
{{- if and .enabled (not (or .cpu.enabled .connections.enabled)) -}}
{{- fail "autoscaling.enabled needs autoscaling.cpu.enabled or autoscaling.connections.enabled" -}}
{{- end -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) -}}
{{- fail "autoscaling.minReplicas is above autoscaling.maxReplicas" -}}
{{- end -}}
{{- end -}}
{{- $needed := include "hubbub.stopSeconds" . | int -}}
{{- with $values.terminationGracePeriodSeconds -}}
{{- if lt (int .) $needed -}}
{{- fail (printf "terminationGracePeriodSeconds=%d would kill a node that drains: config.shutdown needs at least %d" (int .) $needed) -}}
{{- end -}}
{{- end -}}
{{- with $values.serviceMonitor -}}
{{- if and .enabled (lt (include "hubbub.milliseconds" .interval | int64) (include "hubbub.milliseconds" .scrapeTimeout | int64)) -}}
{{- fail (printf "serviceMonitor.scrapeTimeout=%s is longer than serviceMonitor.interval=%s, which the operator refuses" .scrapeTimeout .interval) -}}
{{- end -}}
{{- end -}}
{{- /* A name twice is no YAML; a selector that a value has changed selects nothing. */ -}}
{{- $own := concat (include "hubbub.selectorLabels" . | fromYaml | keys) (include "hubbub.ownLabels" . | fromYaml | keys) (list "hubbub/listener") -}}
{{- $labels := dict "commonLabels" $values.commonLabels "podLabels" $values.podLabels "serviceMonitor.labels" $values.serviceMonitor.labels -}}
{{- $labels = merge $labels (dict "prometheusRule.labels" $values.prometheusRule.labels "dashboards.labels" $values.dashboards.labels "httpRoute.labels" $values.httpRoute.labels) -}}
{{- range $value, $given := $labels -}}
{{- range $name := keys (default dict $given) -}}
{{- if has $name $own -}}{{- fail (printf "%s: the chart sets the label %s itself" $value $name) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- range $name := keys (default dict $values.podAnnotations) -}}
{{- if or (hasPrefix "checksum/" $name) (and $values.metrics.scrapeAnnotations (hasPrefix "prometheus.io/" $name)) -}}
{{- fail (printf "podAnnotations: the chart sets %s itself" $name) -}}
{{- end -}}
{{- end -}}
{{- range $name := keys (default dict $values.autoscaling.annotations) -}}
{{- if hasPrefix "metric-config.external.hubbub-connections." $name -}}
{{- fail (printf "autoscaling.annotations: the chart sets %s itself, from autoscaling.connections" $name) -}}
{{- end -}}
{{- end -}}
{{- if eq (include "hubbub.port" $config.public.listen) (include "hubbub.port" $config.internal.listen) -}}
{{- fail "config.public.listen and config.internal.listen need different ports" -}}
{{- end -}}
{{- end -}}
