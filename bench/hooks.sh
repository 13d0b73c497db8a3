# Sourced by the scripts that compare hooks, after they made $work: a page of
# 10 kB and three functions, and the part of a configuration that serves them.
for name in site/stamped site/looked stamp look answer; do mkdir -p "$work/$name"; done
for page in page.html stamped/page.html looked/page.html; do
  head -c 10240 /dev/zero | tr '\0' x >"$work/site/$page"
done
cat >"$work/stamp/index.mjs" <<'JS'
export const handler = async (event) => {
  const { response } = event.Records[0].cf;
  response.headers['x-stamp'] = [{ key: 'X-Stamp', value: '1' }];
  return response;
};
JS
cat >"$work/look/index.mjs" <<'JS'
export const handler = async (event) => event.Records[0].cf.request;
JS
cat >"$work/answer/index.mjs" <<'JS'
export const handler = async () => ({ status: '200', statusDescription: 'OK', body: 'made here' });
JS
cat >"$work/hooks.toml" <<'TOML'
[functions.stamp]
code = "stamp"
[functions.look]
code = "look"
[functions.answer]
code = "answer"
[distributions.bench]
domains = ["*"]
[distributions.bench.origins.files]
directory = "site"
[[distributions.bench.behaviors]]
path = "/stamped/*"
origin = "files"
hooks.viewer-response = "stamp"
[[distributions.bench.behaviors]]
path = "/looked/*"
origin = "files"
hooks.viewer-request = "look"
[[distributions.bench.behaviors]]
path = "/answer"
origin = "files"
hooks.viewer-request = "answer"
[distributions.bench.default_behavior]
origin = "files"
TOML
