// Asks all that the Prometheus data source of Perses can ask, of the server at $SERVER about data that end at $END, and prints
// the answers.
const client = require('@perses-dev/prometheus-plugin/lib/cjs/model/prometheus-client.js');

const server = { datasourceUrl: process.env.SERVER };
const end = Number(process.env.END);
const start = end - 7200;

// Fields of a parsed query that came after Prometheus 3.5.
const newer = ['anchored', 'smoothed', 'rangeExpr', 'offsetExpr', 'stepExpr', 'originalOffsetExpr', 'fillValues'];
const known = (key, value) => (newer.includes(key) ? undefined : value);

// An answer has the HTTP response beside the document; a refusal throws an error with its status and text.
async function show(what, asked) {
  try {
    const { rawResponse, ...document } = await asked;
    const status = rawResponse ? `${rawResponse.status} ${rawResponse.headers.get('content-type')} ` : '';
    console.log(what, status + JSON.stringify(document, known, 1));
  } catch (error) {
    console.log(what, `refused: ${error.status} ${error.message}`);
  }
}

async function all() {
  console.log('healthy', await client.healthCheck(server)());
  for (const query of [
    'sum by (job) (rate(http_requests_total[5m]))',
    'rpc_latency_seconds',
    'rate(up[5m])',
    'histogram_quantile(0.9, sum by (le) (rate(request_duration_seconds_bucket[5m])))',
    'scalar(vector(1)) / 0',
    '"text"',
    'up[1m]',
    'nosuch',
    'sum(up',
  ]) {
    await show(query, client.instantQuery({ query, time: end }, server));
    await show(query, client.rangeQuery({ query, start, end, step: 600 }, server));
    await show(query, client.parseQuery({ query }, server));
  }
  await show('limited', client.instantQuery({ query: 'up', time: end, limit: 1 }, server));
  await show('too fine', client.rangeQuery({ query: 'up', start: 0, end, step: 1 }, server));
  const matchers = ['up', '{job="api"}'];
  await show('names', client.labelNames({ 'match[]': matchers, start, end }, server));
  await show('all names', client.labelNames({ start, end }, server));
  await show('values', client.labelValues({ labelName: 'job', 'match[]': matchers, start, end }, server));
  await show('no values', client.labelValues({ labelName: 'nosuch', start, end }, server));
  await show('series', client.series({ 'match[]': matchers, start, end }, server));
  await show('no matcher', client.series({ 'match[]': [] }, server));
  await show('metadata', client.metricMetadata({ limit: 0 }, server));
}

all();
