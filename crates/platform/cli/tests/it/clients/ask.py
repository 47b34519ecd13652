"""Asks what prometheus-api-client can ask, of the server at $SERVER about data that end at $END, and prints the answers."""

import datetime
import json
import os

from prometheus_api_client import PrometheusApiClientException, PrometheusConnect

end = datetime.datetime.fromtimestamp(int(os.environ["END"]), datetime.timezone.utc)
start = end - datetime.timedelta(hours=2)
server = PrometheusConnect(os.environ["SERVER"])


def show(what, ask):
    try:
        answer = ask()
        print(what, json.dumps(answer, indent=1, sort_keys=True, default=str))
    except PrometheusApiClientException as error:
        print(what, "not answered:", error)


def at_end(query):
    return server.custom_query(query, params={"time": end.timestamp()})


show("metrics", lambda: server.all_metrics(params={"start": start.timestamp(), "end": end.timestamp()}))
show("labels", lambda: server.get_label_names(params={"start": start.timestamp(), "end": end.timestamp()}))
show("values", lambda: server.get_label_values("job", params={"start": start.timestamp(), "end": end.timestamp()}))
show("series", lambda: server.get_series(start, end, {"match[]": ["up", 'http_requests_total{job="api"}']}))
show("instant", lambda: at_end("sum by (job) (rate(http_requests_total[5m]))"))
show("histogram", lambda: at_end("rpc_latency_seconds"))
show("bad", lambda: at_end("rate(http_requests_total)"))
show("range", lambda: server.custom_query_range("http_requests_total", start, end, "600"))
show("bad range", lambda: server.custom_query_range("up", end, start, "600"))
show("chunks", lambda: server.get_metric_range_data("up", {"job": "api"}, start, end, datetime.timedelta(hours=1)))
