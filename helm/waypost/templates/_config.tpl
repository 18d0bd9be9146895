{{/* The configuration file of one service. Context: dict "root" $ "service" name. */}}
{{- define "waypost.config" -}}
{{- $root := .root }}{{- $values := $root.Values }}{{- $service := index $values.services .service }}
{{- $any := $values.bindAddress }}
{{- $config := dict "server" (dict "hostname" $values.hostname) }}
{{- $_ := set $config "redis" (include "waypost.config.redis" $root | fromJson) }}
{{- $_ := set $config "spool" (include "waypost.config.spool" $root | fromJson) }}
{{- $_ := set $config "http" (dict "host" $any "port" 8080) }}
{{- $_ := set $config "api" (dict "host" $any "port" 8081) }}
{{- $_ := set $config "grace" (printf "%ds" (max 5 (sub (sub (int $service.terminationGracePeriodSeconds) (int $service.preStopSeconds)) 5))) }}
{{- $_ := set $config "telemetry" (dict "metrics_host" $any "metrics_port" 9464 "otlp_endpoint" $values.telemetry.otlpEndpoint "sample_ratio" $values.telemetry.sampleRatio "log_level" $values.telemetry.logLevel) }}
{{- if eq .service "ingress" }}
{{- $_ := set $config "listeners" (include "waypost.config.listeners" $root | fromJsonArray) }}
{{- $_ := set $config "tls" (include "waypost.config.tls" $root | fromJson) }}
{{- end }}
{{- with $values.egress }}
{{- if or .sources .pools }}
{{- $egress := dict "sources" .sources "pools" .pools }}
{{- if .defaultPool }}{{ $_ := set $egress "default_pool" .defaultPool }}{{ end }}
{{- $_ := set $config "egress" $egress }}
{{- end }}
{{- end }}
{{- if $values.inline.enabled }}
{{- if eq .service "ingress" }}{{ $_ := set $config "policy" (dict "inline" (dict "url" (printf "http://%s-policy:%d" (include "waypost.name" $root) (int $values.inline.port)))) }}{{ end }}
{{- if eq .service "policy" }}{{ $_ := set $config "policy" (dict "inline" (dict "listen" (printf (ternary "[%s]:%d" "%s:%d" (contains ":" $any)) $any (int $values.inline.port)))) }}{{ end }}
{{- end }}
{{- $given := deepCopy $values.config }}
{{- /* The files that these name are in policy alone, and a file that cannot be read is refused. */ -}}
{{- if ne .service "policy" }}{{ $given = omit $given "dkim" "arc" "smime" "filters" }}{{ end }}
{{- $config = mustMergeOverwrite $config $given (deepCopy $service.config) }}
{{- if $values.tests.enabled }}
{{- $_ := set $config "routes" (concat (list (dict "match" $values.smokeDomain "to" "sink")) ($config.routes | default list)) }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{- define "waypost.config.redis" -}}
{{- $redis := dict }}
{{- if .Values.redis.enabled }}
{{- $redis = dict "url" (printf "redis://%s-redis:6379" (include "waypost.name" .)) "durability" "fsync" }}
{{- else }}
{{- with .Values.externalRedis }}
{{- $redis = dict "durability" .durability }}
{{- if eq .durability "replica" }}{{ $_ := set $redis "replicas" .replicas }}{{ end }}
{{- if .url }}{{ $_ := set $redis "url" .url }}{{ end }}
{{- if .sentinel.hosts }}{{ $_ := set $redis "sentinel" (dict "hosts" .sentinel.hosts "name" .sentinel.name) }}{{ end }}
{{- if .username }}{{ $_ := set $redis "username" .username }}{{ end }}
{{- end }}
{{- end }}
{{- toJson $redis }}
{{- end }}

{{- define "waypost.config.spool" -}}
{{- with .Values.spool }}
{{- $spool := dict "blobs" .blobs }}
{{- if eq .blobs "fs" }}{{ $_ := set $spool "dir" "/var/lib/waypost/spool" }}{{ end }}
{{- if eq .blobs "s3" }}
{{- $s3 := dict "region" .s3.region "bucket" .s3.bucket "prefix" .s3.prefix "force_path_style" .s3.forcePathStyle }}
{{- if .s3.endpoint }}{{ $_ := set $s3 "endpoint" .s3.endpoint }}{{ end }}
{{- $_ := set $spool "s3" $s3 }}
{{- end }}
{{- toJson $spool }}
{{- end }}
{{- end }}

{{- define "waypost.config.listeners" -}}
{{- $found := list }}
{{- $proxy := .Values.proxyProtocol }}
{{- $withTls := or (include "waypost.tlsSecret" .) .Values.tls.selfSigned }}
{{- range include "waypost.listeners" . | fromJsonArray }}
{{- $one := dict "name" .name "kind" .kind "host" $.Values.bindAddress "port" (int .containerPort) "tls" (ternary .tls "none" (not (not $withTls))) }}
{{- if eq .kind "relay" }}{{ $_ := set $one "allow" .allow }}{{ end }}
{{- if eq .kind "mx" }}{{ $_ := set $one "domains" .domains }}{{ $_ := set $one "inline" $.Values.inline.enabled }}{{ end }}
{{- $found = append $found $one }}
{{- if $proxy.enabled }}
{{- $found = append $found (mustMergeOverwrite (deepCopy $one) (dict "name" (printf "%s-proxy" .name) "port" (add (int .containerPort) (int $proxy.containerPortOffset)) "proxy_protocol" $proxy.trustedCIDRs)) }}
{{- end }}
{{- end }}
{{- toJson $found }}
{{- end }}

{{- define "waypost.config.tls" -}}
{{- if include "waypost.tlsSecret" . }}
{{- toJson (dict "identities" (list (dict "cert" "/run/secrets/tls/tls.crt" "key" "/run/secrets/tls/tls.key"))) }}
{{- else if .Values.tls.selfSigned }}
{{- toJson (dict "self_signed_dir" "/tmp/tls") }}
{{- else }}{}
{{- end }}
{{- end }}
