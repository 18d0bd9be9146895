{{- define "waypost.validate" -}}
{{- /* What a schema cannot say; each refusal tells what to do. */ -}}
{{- $values := .Values }}
{{- if not $values.hostname }}{{ fail "hostname is empty: set it to the name that this relay's PTR records point to, such as relay.example.com" }}{{ end }}
{{- $external := $values.externalRedis }}
{{- if $external.cluster }}{{ fail "externalRedis.cluster: Waypost does not run on Redis Cluster (docs/adr/0001); use externalRedis.url, or externalRedis.sentinel for failover" }}{{ end }}
{{- if and $values.redis.enabled (or $external.url $external.sentinel.hosts) }}{{ fail "redis.enabled and externalRedis are both set: set redis.enabled to false to use your own Redis, or empty externalRedis" }}{{ end }}
{{- if and (not $values.redis.enabled) (not $external.url) (not $external.sentinel.hosts) }}{{ fail "there is no Redis: set redis.enabled to true, or externalRedis.url or externalRedis.sentinel" }}{{ end }}
{{- if and $external.url $external.sentinel.hosts }}{{ fail "externalRedis.url and externalRedis.sentinel are both set: keep one" }}{{ end }}
{{- if and $external.sentinel.hosts (not $external.sentinel.name) }}{{ fail "externalRedis.sentinel.name is empty: set it to the name of the master that the sentinels watch" }}{{ end }}
{{- if and $values.proxyProtocol.enabled (not $values.proxyProtocol.trustedCIDRs) }}{{ fail "proxyProtocol.enabled needs proxyProtocol.trustedCIDRs: without them anybody could claim any client address, that of a trusted machine too" }}{{ end }}
{{- range $values.proxyProtocol.trustedCIDRs }}{{ if has . (list "0.0.0.0/0" "::/0") }}{{ fail (printf "proxyProtocol.trustedCIDRs holds %s, which is everybody: name your load balancers' networks" .) }}{{ end }}{{ end }}
{{- with $values.listeners.relay }}{{ if and .enabled (not .allow) }}{{ fail "listeners.relay.enabled needs listeners.relay.allow with the networks that may use it, such as [10.0.0.0/8]; all others are refused" }}{{ end }}{{ end }}
{{- $bounces := mustMergeOverwrite (dict) (deepCopy ($values.config.bounces | default dict)) (deepCopy ($values.services.ingress.config.bounces | default dict)) }}
{{- with $values.listeners.mx }}{{ if and .enabled (not .domains) (not $bounces.domain) (not $bounces.feedback) }}{{ fail "listeners.mx.enabled needs listeners.mx.domains with the domains that it accepts mail for, or config.bounces.domain for returned mail alone" }}{{ end }}{{ end }}
{{- if and $values.listeners.relay.enabled $values.listeners.mx.enabled (eq (int $values.listeners.relay.port) (int $values.listeners.mx.port)) }}{{ fail "listeners.relay and listeners.mx have the same port: give one of them another, as clients cannot be told apart on it" }}{{ end }}
{{- $ports := list }}
{{- range include "waypost.listeners" . | fromJsonArray }}
{{- if has (int .containerPort) $ports }}{{ fail (printf "listeners.%s.containerPort %d is taken: give each listener its own" .name (int .containerPort)) }}{{ end }}
{{- $ports = append $ports (int .containerPort) }}
{{- end }}
{{- $hasTls := or (include "waypost.tlsSecret" .) $values.tls.selfSigned }}
{{- if and (or $values.listeners.submission.enabled $values.listeners.submissions.enabled) (not $hasTls) }}{{ fail "submission needs TLS, as passwords go over it: set tls.existingSecret or tls.certManager.enabled (tls.selfSigned to try things out)" }}{{ end }}
{{- if and $values.tls.existingSecret $values.tls.certManager.enabled }}{{ fail "tls.existingSecret and tls.certManager.enabled are both set: keep one" }}{{ end }}
{{- if and $values.tls.certManager.enabled (not $values.tls.certManager.issuerRef.name) }}{{ fail "tls.certManager.enabled needs tls.certManager.issuerRef.name, the Issuer or ClusterIssuer that signs" }}{{ end }}
{{- if eq $values.spool.blobs "fs" }}
{{- $pods := 0 }}
{{- range $name, $service := $values.services }}
{{- $pods = add $pods (ternary (int $service.replicas) (int $service.autoscaling.maxReplicas) (eq $service.autoscaling.kind "none")) }}
{{- end }}
{{- if and (ne $values.spool.fs.accessMode "ReadWriteMany") (gt (int $pods) 5) }}{{ fail (printf "spool.blobs is fs on a %s volume, but there may be %d pods that share it: use ReadWriteMany, or spool.blobs s3 or redis, or one replica of each service" $values.spool.fs.accessMode (int $pods)) }}{{ end }}
{{- end }}
{{- if and (eq $values.spool.blobs "s3") (not $values.spool.s3.bucket) }}{{ fail "spool.blobs is s3: set spool.s3.bucket" }}{{ end }}
{{- if and $values.http.ingress.enabled $values.http.gateway.enabled }}{{ fail "http.ingress and http.gateway are both enabled: keep one" }}{{ end }}
{{- if and $values.http.gateway.enabled (not $values.http.gateway.parentRefs) }}{{ fail "http.gateway.enabled needs http.gateway.parentRefs with the Gateway to attach to" }}{{ end }}
{{- range $name, $service := $values.services }}
{{- with $service.autoscaling }}
{{- if gt (int .minReplicas) (int .maxReplicas) }}{{ fail (printf "services.%s.autoscaling: minReplicas is above maxReplicas" $name) }}{{ end }}
{{- if and (eq .kind "keda") (not $values.keda.serverAddress) }}{{ fail (printf "services.%s.autoscaling.kind is keda: set keda.serverAddress to the Prometheus that knows the queues" $name) }}{{ end }}
{{- end }}
{{- if le (int $service.terminationGracePeriodSeconds) (int $service.preStopSeconds) }}{{ fail (printf "services.%s.terminationGracePeriodSeconds must be longer than preStopSeconds" $name) }}{{ end }}
{{- end }}
{{- with $values.egress }}
{{- if and (eq .mode "socks5") (not .sources) }}{{ fail "egress.mode is socks5: give egress.sources with a proxy each, such as [{ name: a, ehlo: mail-a.example.com, proxy: socks5://proxy-a:1080 }]" }}{{ end }}
{{- if eq .mode "socks5" }}{{ range .sources }}{{ if and (not .proxy) (not .proxy_file) }}{{ fail (printf "egress.mode is socks5, but egress.sources %q has no proxy or proxy_file" .name) }}{{ end }}{{ end }}{{ end }}
{{- if and (eq .mode "cilium") (or (not .cilium.egressIP) (not .cilium.nodeSelector)) }}{{ fail "egress.mode is cilium: set egress.cilium.egressIP and egress.cilium.nodeSelector" }}{{ end }}
{{- if and (eq .mode "hostNetwork") (not .nodeSelector) }}{{ fail "egress.mode is hostNetwork: set egress.nodeSelector to the nodes whose addresses have PTR records" }}{{ end }}
{{- range .sources }}{{ if not .ehlo }}{{ fail (printf "egress.sources %q has no ehlo: set it to the name that its address's PTR record has" .name) }}{{ end }}{{ end }}
{{- end }}
{{- end }}
