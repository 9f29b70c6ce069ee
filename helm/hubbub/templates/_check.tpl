{{/* Values that fit the schema one by one, but not together. */}}

{{- define "hubbub.check" -}}
{{- include "hubbub.check.nodes" . -}}
{{- include "hubbub.check.redis" . -}}
{{- include "hubbub.check.secrets" . -}}
{{- include "hubbub.check.access" . -}}
{{- include "hubbub.check.pods" . -}}
{{- include "hubbub.check.names" . -}}
{{- end -}}

{{/* How many nodes there are, and how they come and go. */}}
{{- define "hubbub.check.nodes" -}}
{{- $values := .Values -}}
{{- $config := .Values.config -}}
{{- $redis := include "hubbub.hasRedis" . -}}
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
{{- if and $values.persistence.enabled (dig "data" "dir" "" $config) -}}
{{- fail "persistence.enabled and config.data.dir exclude each other: the chart says where its disk is" -}}
{{- end -}}
{{- with $values.autoscaling -}}
{{- if and .enabled (not (or .cpu.enabled .connections.enabled)) -}}
{{- fail "autoscaling.enabled needs autoscaling.cpu.enabled or autoscaling.connections.enabled" -}}
{{- end -}}
{{- $resources := default dict $values.resources -}}
{{- $cpu := or (get (default dict $resources.requests) "cpu") (get (default dict $resources.limits) "cpu") -}}
{{- if and .enabled .cpu.enabled (not $cpu) -}}
{{- fail "autoscaling.cpu is a percentage of resources.requests.cpu, which is not there: set it, or autoscaling.cpu.enabled=false" -}}
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
{{- $none := list "0" "0%" -}}
{{- $rolling := default dict $values.updateStrategy.rollingUpdate -}}
{{- if and (eq $values.updateStrategy.type "RollingUpdate") (has (toString $rolling.maxSurge) $none) (has (toString $rolling.maxUnavailable) $none) -}}
{{- fail "updateStrategy.rollingUpdate: with maxSurge and maxUnavailable 0 nothing could ever be replaced" -}}
{{- end -}}
{{- with $values.podDisruptionBudget -}}
{{- if and .enabled (kindIs "invalid" .maxUnavailable) (kindIs "invalid" .minAvailable) -}}
{{- fail "podDisruptionBudget needs maxUnavailable or minAvailable" -}}
{{- end -}}
{{- end -}}
{{- if eq (include "hubbub.milliseconds" $config.shutdown.ready_delay) "0" -}}
{{- fail (printf "config.shutdown.ready_delay=%s would drain a node while Services still lead to it: some seconds are needed" $config.shutdown.ready_delay) -}}
{{- end -}}
{{- end -}}

{{/* Which Redis, and how it is reached. */}}
{{- define "hubbub.check.redis" -}}
{{- $values := .Values -}}
{{- $config := .Values.config -}}
{{- $redis := include "hubbub.hasRedis" . -}}
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
{{- if or (and (dig "redis" "url_file" "" $config) (or $values.redis.url $given.urlKey)) (and (dig "redis" "password_file" "" $config) (or $values.redis.password $given.passwordKey)) -}}
{{- fail "config.redis.url_file or password_file and a value of redis give the same thing twice" -}}
{{- end -}}
{{- if and (not $redis) (or $values.redis.password $given.passwordKey (include "hubbub.hasRedisCa" .)) -}}
{{- fail "redis.password, redis.existingSecret.passwordKey and redis.ca need a Redis: set redis.url or redis.existingSecret.urlKey" -}}
{{- end -}}
{{- with $values.redis.ca -}}
{{- if gt (len (without (list .pem .existingConfigMap .existingSecret) "" nil)) 1 -}}
{{- fail "redis.ca: pem, existingConfigMap and existingSecret exclude each other" -}}
{{- end -}}
{{- end -}}
{{- if and (include "hubbub.hasRedisCa" .) $values.redis.url (not (contains "rediss://" $values.redis.url)) -}}
{{- fail "redis.ca is for rediss://, and redis.url is not" -}}
{{- end -}}
{{- if and (include "hubbub.hasRedisCa" .) (dig "redis" "tls_ca" "" $config) -}}
{{- fail "redis.ca and config.redis.tls_ca exclude each other" -}}
{{- end -}}
{{- if and (eq $mode "standalone") (contains "," (default "" $values.redis.url)) -}}
{{- fail "redis.url names several servers: set config.redis.mode to sentinel or cluster" -}}
{{- end -}}
{{- if and $values.devRedis.enabled (regexMatch "[[:cntrl:]\"\\\\]" (default "" $values.redis.password)) -}}
{{- fail "redis.password: the configuration of devRedis can't hold a quotation mark, a backslash or a control character" -}}
{{- end -}}
{{- end -}}

{{/* What is secret, and TLS. */}}
{{- define "hubbub.check.secrets" -}}
{{- $values := .Values -}}
{{- $config := .Values.config -}}
{{- if and $values.secrets.existingSecret (or $values.secrets.authSecret $values.secrets.apiKey) -}}
{{- fail "secrets.existingSecret and secrets.authSecret or secrets.apiKey exclude each other" -}}
{{- end -}}
{{- if ne (empty $values.tls.certificate) (empty $values.tls.key) -}}
{{- fail "tls.certificate and tls.key belong together" -}}
{{- end -}}
{{- if and $values.tls.existingSecret $values.tls.certificate -}}
{{- fail "tls.existingSecret and tls.certificate exclude each other" -}}
{{- end -}}
{{- if and $values.tls.certificate (not $values.tls.enabled) -}}
{{- fail "tls.certificate and tls.key are given: set tls.enabled, too" -}}
{{- end -}}
{{- if and $values.tls.enabled (or (dig "public" "tls_cert" "" $config) (dig "public" "tls_key" "" $config)) -}}
{{- fail "tls.enabled and config.public.tls_cert or tls_key exclude each other" -}}
{{- end -}}
{{- if and $values.keyFiles.existingSecret $values.keyFiles.files -}}
{{- fail "keyFiles.existingSecret and keyFiles.files exclude each other" -}}
{{- end -}}
{{- if and $values.secrets.authSecret (dig "auth" "secret_file" "" $config) -}}
{{- fail "secrets.authSecret and config.auth.secret_file exclude each other" -}}
{{- end -}}
{{- if and $values.secrets.apiKey (dig "internal" "api_key_file" "" $config) -}}
{{- fail "secrets.apiKey and config.internal.api_key_file exclude each other" -}}
{{- end -}}
{{- end -}}

{{/* Listeners, Services and routes. */}}
{{- define "hubbub.check.access" -}}
{{- $values := .Values -}}
{{- $config := .Values.config -}}
{{- if eq (include "hubbub.port" $config.public.listen) (include "hubbub.port" $config.internal.listen) -}}
{{- fail "config.public.listen and config.internal.listen need different ports" -}}
{{- end -}}
{{- range $name := list "public" "internal" -}}
{{- $listen := get (get $config $name) "listen" -}}
{{- if regexMatch `^(127\.|\[::1\]|\[::ffff:127\.)` $listen -}}
{{- fail (printf "config.%s.listen=%s hears nobody from outside the pod: use 0.0.0.0 or [::]" $name $listen) -}}
{{- end -}}
{{- if gt (include "hubbub.port" $listen | int) 65535 -}}
{{- fail (printf "config.%s.listen=%s: ports end at 65535" $name $listen) -}}
{{- end -}}
{{- end -}}
{{- with $values.service -}}
{{- if and (eq .type "ClusterIP") (or .nodePort .externalTrafficPolicy) -}}
{{- fail "service.nodePort and service.externalTrafficPolicy are for service.type NodePort or LoadBalancer" -}}
{{- end -}}
{{- if and (ne .type "LoadBalancer") (or .loadBalancerClass .loadBalancerSourceRanges) -}}
{{- fail "service.loadBalancerClass and service.loadBalancerSourceRanges are for service.type LoadBalancer" -}}
{{- end -}}
{{- end -}}
{{- if and $values.httpRoute.enabled (not $values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.enabled needs httpRoute.parentRefs: the Gateway that it belongs to" -}}
{{- end -}}
{{- end -}}

{{/* What is added to the pods. */}}
{{- define "hubbub.check.pods" -}}
{{- $secrets := list "HUBBUB_AUTH__SECRET" "HUBBUB_INTERNAL__API_KEY" "HUBBUB_REDIS__URL" "HUBBUB_REDIS__PASSWORD" -}}
{{- range .Values.extraEnv -}}
{{- if has .name $secrets -}}
{{- fail (printf "extraEnv: %s has a value of its own, see `secrets` and `redis`" .name) -}}
{{- end -}}
{{- if and .value .valueFrom -}}
{{- fail (printf "extraEnv: %s has value and valueFrom, which exclude each other" .name) -}}
{{- end -}}
{{- end -}}
{{- with .Values.podSecurityContext -}}
{{- if and .runAsNonRoot (eq (toString .runAsUser) "0") -}}
{{- fail "podSecurityContext: runAsUser=0 is root, which runAsNonRoot forbids" -}}
{{- end -}}
{{- end -}}
{{- include "hubbub.check.unique" (dict "value" "extraEnv" "field" "name" "items" (include "hubbub.env" . | fromYamlArray)) -}}
{{- $volumes := include "hubbub.volumes" . | fromYamlArray -}}
{{- $mounts := include "hubbub.volumeMounts" . | fromYamlArray -}}
{{- range .Values.extraVolumeMounts -}}
{{- $name := .name -}}
{{- $there := false -}}
{{- range $volumes -}}{{- if eq .name $name -}}{{- $there = true -}}{{- end -}}{{- end -}}
{{- if not $there -}}{{- fail (printf "extraVolumeMounts: there is no volume %s, see extraVolumes" $name) -}}{{- end -}}
{{- end -}}
{{- if .Values.persistence.enabled -}}
{{- $volumes = append $volumes (dict "name" "data") -}}
{{- $mounts = append $mounts (dict "mountPath" "/var/lib/hubbub") -}}
{{- end -}}
{{- include "hubbub.check.unique" (dict "value" "extraVolumes" "field" "name" "items" $volumes) -}}
{{- include "hubbub.check.unique" (dict "value" "extraVolumeMounts" "field" "mountPath" "items" $mounts) -}}
{{- end -}}

{{/* Refuses two items with the same `field`; `value` adds to those of the chart. */}}
{{- define "hubbub.check.unique" -}}
{{- $seen := dict -}}
{{- range $item := .items -}}
{{- $name := get $item $.field -}}
{{- if hasKey $seen $name -}}{{- fail (printf "%s: %s is there already" $.value $name) -}}{{- end -}}
{{- $_ := set $seen $name true -}}
{{- end -}}
{{- end -}}

{{/* Names of objects and of labels, and what goes to Prometheus. */}}
{{- define "hubbub.check.names" -}}
{{- $values := .Values -}}
{{- $name := include "hubbub.fullname" . -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) -}}
{{- fail (printf "a Service can't be called %s: names begin with a letter and have letters, digits and dashes. Set fullnameOverride" $name) -}}
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
{{- end -}}
