{{/* Environment that holds secrets. */}}
{{- define "waypost.env" -}}
{{- if .Values.redis.enabled }}
- name: WAYPOST__REDIS__PASSWORD
  valueFrom: { secretKeyRef: { name: {{ include "waypost.redisSecret" . }}, key: {{ .Values.redis.auth.key }} } }
{{- else if .Values.externalRedis.existingSecret }}
- name: WAYPOST__REDIS__PASSWORD
  valueFrom: { secretKeyRef: { name: {{ .Values.externalRedis.existingSecret }}, key: {{ .Values.externalRedis.passwordKey }} } }
{{- with .Values.externalRedis.sentinel.passwordKey }}
- name: WAYPOST__REDIS__SENTINEL__PASSWORD
  valueFrom: { secretKeyRef: { name: {{ $.Values.externalRedis.existingSecret }}, key: {{ . }} } }
{{- end }}
{{- end }}
{{- with .Values.externalRedis.caSecret }}
- name: NODE_EXTRA_CA_CERTS
  value: /run/secrets/redis-ca/ca.crt
{{- end }}
{{- if and (eq .Values.spool.blobs "s3") .Values.spool.s3.existingSecret }}
- name: WAYPOST__SPOOL__S3__ACCESS_KEY
  valueFrom: { secretKeyRef: { name: {{ .Values.spool.s3.existingSecret }}, key: {{ .Values.spool.s3.accessKey }} } }
- name: WAYPOST__SPOOL__S3__SECRET_KEY
  valueFrom: { secretKeyRef: { name: {{ .Values.spool.s3.existingSecret }}, key: {{ .Values.spool.s3.secretKey }} } }
{{- end }}
{{- end }}

{{/* What of it only some services have. Context: dict "root" $ "service" name. */}}
{{- define "waypost.env.of" -}}
{{- include "waypost.env" .root }}
{{- if and .root.Values.inline.enabled (has .service (list "ingress" "policy")) }}
- name: WAYPOST__POLICY__INLINE__SECRET
  valueFrom: { secretKeyRef: { name: {{ include "waypost.inlineSecret" .root }}, key: {{ .root.Values.inline.key }} } }
{{- end }}
{{- end }}

{{/* Volumes and their mounts of one service, as JSON lists. Context: dict "root" $ "service" name. */}}
{{- define "waypost.volumes" -}}
{{- $root := .root }}{{- $values := $root.Values }}{{- $service := index $values.services .service }}
{{- $volumes := list (dict "name" "config" "configMap" (dict "name" (printf "%s-%s" (include "waypost.name" $root) .service))) (dict "name" "tmp" "emptyDir" (dict "sizeLimit" "256Mi")) }}
{{- $mounts := list (dict "name" "config" "mountPath" "/etc/waypost" "readOnly" true) (dict "name" "tmp" "mountPath" "/tmp") }}
{{- $tls := include "waypost.tlsSecret" $root }}
{{- if and $tls (eq .service "ingress") }}
{{- $volumes = append $volumes (dict "name" "tls" "secret" (dict "secretName" $tls)) }}
{{- $mounts = append $mounts (dict "name" "tls" "mountPath" "/run/secrets/tls" "readOnly" true) }}
{{- end }}
{{- if eq .service "policy" }}
{{- range $what, $keys := dict "dkim" $values.dkim "smime" $values.smime }}
{{- if $keys.existingSecret }}
{{- $volumes = append $volumes (dict "name" $what "secret" (dict "secretName" $keys.existingSecret)) }}
{{- $mounts = append $mounts (dict "name" $what "mountPath" $keys.path "readOnly" true) }}
{{- end }}
{{- end }}
{{- end }}
{{- if $values.externalRedis.caSecret }}
{{- $volumes = append $volumes (dict "name" "redis-ca" "secret" (dict "secretName" $values.externalRedis.caSecret)) }}
{{- $mounts = append $mounts (dict "name" "redis-ca" "mountPath" "/run/secrets/redis-ca" "readOnly" true) }}
{{- end }}
{{- if eq $values.spool.blobs "fs" }}
{{- $volumes = append $volumes (dict "name" "spool" "persistentVolumeClaim" (dict "claimName" (include "waypost.spoolClaim" $root))) }}
{{- $mounts = append $mounts (dict "name" "spool" "mountPath" "/var/lib/waypost/spool") }}
{{- end }}
{{- range $at, $mount := $values.secretMounts }}
{{- if or (not $mount.services) (has $.service ($mount.services | default list)) }}
{{- $volumes = append $volumes (dict "name" (printf "secret-%d" $at) "secret" (dict "secretName" $mount.name)) }}
{{- $mounts = append $mounts (dict "name" (printf "secret-%d" $at) "mountPath" $mount.path "readOnly" true) }}
{{- end }}
{{- end }}
{{- toJson (dict "volumes" (concat $volumes $service.extraVolumes) "mounts" (concat $mounts $service.extraVolumeMounts)) }}
{{- end }}

{{- define "waypost.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* The pod of one service. Context: dict "root" $ "service" name. */}}
{{- define "waypost.pod" -}}
{{- $root := .root }}{{- $values := $root.Values }}{{- $name := .service }}{{- $service := index $values.services $name }}
{{- $volumes := include "waypost.volumes" . | fromJson }}
{{- $selector := dict "matchLabels" (include "waypost.selector" $root | fromYaml | merge (dict "app.kubernetes.io/component" $name)) }}
{{- $hostNetwork := and (eq $name "delivery") (eq $values.egress.mode "hostNetwork") }}
serviceAccountName: {{ include "waypost.serviceAccount" $root }}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ $service.terminationGracePeriodSeconds }}
{{- with $values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if $hostNetwork }}
hostNetwork: true
dnsPolicy: ClusterFirstWithHostNet
{{- end }}
{{- with $service.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ $values.podSecurity.runAsUser }}
  runAsGroup: {{ $values.podSecurity.runAsGroup }}
  fsGroup: {{ $values.podSecurity.fsGroup }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
{{- with ternary (merge (deepCopy $service.nodeSelector) $values.egress.nodeSelector) $service.nodeSelector $hostNetwork }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $service.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $service.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
{{- if $service.topologySpreadConstraints }}
  {{- toYaml $service.topologySpreadConstraints | nindent 2 }}
{{- else }}
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      {{- toYaml $selector | nindent 6 }}
{{- end }}
{{- end }}
initContainers:
  - name: check-config
    image: {{ include "waypost.image" $root | quote }}
    imagePullPolicy: {{ $values.image.pullPolicy }}
    args: [config, check, /etc/waypost/waypost.yaml]
    env:
      {{- include "waypost.env.of" . | nindent 6 }}
      {{- with $service.extraEnv }}{{ toYaml . | nindent 6 }}{{ end }}
    securityContext:
      {{- include "waypost.securityContext" $root | nindent 6 }}
    resources:
      {{- toYaml $service.resources | nindent 6 }}
    volumeMounts:
      {{- toYaml $volumes.mounts | nindent 6 }}
containers:
  - name: {{ $name }}
    image: {{ include "waypost.image" $root | quote }}
    imagePullPolicy: {{ $values.image.pullPolicy }}
    args: [run, {{ $name }}, --config, /etc/waypost/waypost.yaml]
    env:
      {{- include "waypost.env.of" . | nindent 6 }}
      {{- with $service.extraEnv }}{{ toYaml . | nindent 6 }}{{ end }}
    ports:
      - { name: metrics, containerPort: 9464 }
      {{- if eq $name "ingress" }}
      - { name: http, containerPort: 8080 }
      {{- range include "waypost.listeners" $root | fromJsonArray }}
      - { name: {{ .name }}, containerPort: {{ .containerPort }} }
      {{- if $values.proxyProtocol.enabled }}
      - { name: {{ printf "%s-px" .name }}, containerPort: {{ add (int .containerPort) (int $values.proxyProtocol.containerPortOffset) }} }
      {{- end }}
      {{- end }}
      {{- end }}
      {{- if eq $name "api" }}
      - { name: api, containerPort: 8081 }
      {{- end }}
      {{- if and (eq $name "policy") $values.inline.enabled }}
      - { name: inline, containerPort: {{ $values.inline.port }} }
      {{- end }}
    startupProbe:
      httpGet: { path: /readyz, port: metrics }
      periodSeconds: 1
      failureThreshold: 60
    livenessProbe:
      httpGet: { path: /healthz, port: metrics }
      periodSeconds: 10
      timeoutSeconds: 5
      failureThreshold: 6
    readinessProbe:
      httpGet: { path: /readyz, port: metrics }
      periodSeconds: 5
      timeoutSeconds: 3
      failureThreshold: 2
    {{- if gt (int $service.preStopSeconds) 0 }}
    lifecycle:
      preStop: { sleep: { seconds: {{ $service.preStopSeconds }} } }
    {{- end }}
    securityContext:
      {{- include "waypost.securityContext" $root | nindent 6 }}
    resources:
      {{- toYaml $service.resources | nindent 6 }}
    volumeMounts:
      {{- toYaml $volumes.mounts | nindent 6 }}
volumes:
  {{- toYaml $volumes.volumes | nindent 2 }}
{{- end }}
