{{- define "kandela.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "kandela.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "kandela.labels" -}}
{{ include "kandela.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* kandela.yaml: what the chart decides over what the values say. */}}
{{- define "kandela.config" -}}
{{- if not (or .Values.users .Values.insecure) }}{{ fail "name users, or set insecure: a pod listens beyond loopback" }}{{ end }}
{{- $name := include "kandela.name" . }}
{{- $hosts := concat (list $name (printf "%s.%s" $name .Release.Namespace) (printf "%s.%s.svc" $name .Release.Namespace) (printf "%s.%s.svc.cluster.local" $name .Release.Namespace)) .Values.allowedHosts }}
{{- $users := list }}
{{- range .Values.users }}{{ $users = append $users (dict "name" .name "role" .role "bearer_token_file" (printf "/etc/kandela/users/%s/token" .name)) }}{{ end }}
{{- $listen := dict "http" "0.0.0.0:7676" "otlp_grpc" "0.0.0.0:4317" "otlp_http" "0.0.0.0:4318" }}
{{- $own := dict "listen" $listen "allowed_hosts" $hosts "memory_limit" .Values.memoryLimit "host_metrics" (dict "enabled" false) }}
{{- if $users }}{{ $_ := set $own "users" $users }}{{ end }}
{{- toYaml (mergeOverwrite (deepCopy .Values.config) (dict "kandela" (mergeOverwrite (deepCopy .Values.kandela) $own))) }}
{{- end }}
