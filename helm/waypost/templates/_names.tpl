{{- define "waypost.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "waypost.labels" -}}
{{ include "waypost.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "waypost.selector" -}}
app.kubernetes.io/name: waypost
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "waypost.image" -}}
{{- with .Values.image }}{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}{{ end }}
{{- end }}

{{- define "waypost.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "waypost.name" .) }}
{{- end }}

{{- define "waypost.redisSecret" -}}
{{ .Values.redis.auth.existingSecret | default (printf "%s-redis" (include "waypost.name" .)) }}
{{- end }}

{{- define "waypost.tlsSecret" -}}
{{- if .Values.tls.existingSecret }}{{ .Values.tls.existingSecret }}{{ else if .Values.tls.certManager.enabled }}{{ include "waypost.name" . }}-tls{{ end }}
{{- end }}

{{- define "waypost.inlineSecret" -}}
{{ .Values.inline.existingSecret | default (printf "%s-inline" (include "waypost.name" .)) }}
{{- end }}

{{/* Ports of the filters that policy is configured with, as a list; unix sockets have none. */}}
{{- define "waypost.filterPorts" -}}
{{- $filters := mustMergeOverwrite (dict) (deepCopy (.Values.config.filters | default dict)) (deepCopy (.Values.services.policy.config.filters | default dict)) }}
{{- $ports := list }}
{{- with $filters.rspamd }}
{{- $port := regexFind ":[0-9]+$" (regexReplaceAll "^https?://([^/]*).*$" .url "${1}") | trimPrefix ":" }}
{{- $ports = append $ports ($port | default (ternary "443" "80" (hasPrefix "https:" .url)) | int) }}
{{- end }}
{{- range concat (list $filters.spamd $filters.clamd) ($filters.milters | default list) }}
{{- with . }}
{{- $port := regexFind "[0-9]+" (regexFind ":[0-9]+(@|$)" .address) }}
{{- if and $port (not (hasPrefix "unix:" .address)) }}{{ $ports = append $ports (int $port) }}{{ end }}
{{- end }}
{{- end }}
{{- toJson (uniq $ports) }}
{{- end }}

{{- define "waypost.spoolClaim" -}}
{{ .Values.spool.fs.existingClaim | default (printf "%s-spool" (include "waypost.name" .)) }}
{{- end }}

{{/* Enabled listeners as a list of dicts: name, kind, port, containerPort, tls. */}}
{{- define "waypost.listeners" -}}
{{- $all := dict "submission" (dict "kind" "submission" "tls" "starttls") "submissions" (dict "kind" "submission" "tls" "implicit") "relay" (dict "kind" "relay" "tls" "starttls") "mx" (dict "kind" "mx" "tls" "starttls") }}
{{- $found := list }}
{{- range $name := list "submission" "submissions" "relay" "mx" }}
{{- $given := get $.Values.listeners $name }}
{{- if $given.enabled }}{{ $found = append $found (mustMergeOverwrite (dict "name" $name) (get $all $name) $given) }}{{ end }}
{{- end }}
{{- toJson $found }}
{{- end }}
