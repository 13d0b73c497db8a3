// AWS's SDK for JavaScript, version 3: signatures, both protocols, errors.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { execFileSync } from 'node:child_process';

const require = createRequire(`${process.env.CLIENTS_JS}/`);
const lambda = require('@aws-sdk/client-lambda');
const cloudfront = require('@aws-sdk/client-cloudfront');
// The profile is $AWS_PROFILE.
const settings = { maxAttempts: 1 };
const lam = new lambda.LambdaClient(settings);
const cf = new cloudfront.CloudFrontClient(settings);

const zip = execFileSync(process.env.PYTHON, ['-c', `
import sys; sys.path.insert(0, sys.argv[1])
from common import package
sys.stdout.buffer.write(package(sys.argv[2]))`,
  import.meta.dirname ?? new URL('.', import.meta.url).pathname,
  "export const handler = async (event) => event.Records ? { status: '200', body: 'from js' } : { got: event };"]);
const made = await lam.send(new lambda.CreateFunctionCommand({
  FunctionName: 'js', Runtime: 'nodejs22.x', Handler: 'index.handler', Role: 'arn:aws:iam::000000000000:role/any',
  Code: { ZipFile: zip }, Publish: true, Tags: { 'a key': 'a value' },
}));
assert.equal(made.Version, '1');
await lambda.waitUntilFunctionActiveV2({ client: lam, maxWaitTime: 10 }, { FunctionName: made.FunctionArn });
const said = await lam.send(new lambda.InvokeCommand({ FunctionName: made.FunctionArn, Payload: '{"x":1}', LogType: 'Tail' }));
assert.deepEqual(JSON.parse(Buffer.from(said.Payload).toString()), { got: { x: 1 } });
assert.match(Buffer.from(said.LogResult, 'base64').toString(), /^START RequestId/);
await assert.rejects(lam.send(new lambda.GetFunctionCommand({ FunctionName: 'absent' })), { name: 'ResourceNotFoundException' });
const arn = made.FunctionArn.replace(/:1$/, '');
assert.deepEqual((await lam.send(new lambda.ListTagsCommand({ Resource: arn }))).Tags, { 'a key': 'a value' });

const [host, port] = process.env.ORIGIN.split(':');
const config = {
  CallerReference: 'js', Comment: '', Enabled: true, Aliases: { Quantity: 1, Items: ['js.test'] },
  Origins: { Quantity: 1, Items: [{ Id: 'o', DomainName: host, CustomOriginConfig: { HTTPPort: Number(port), HTTPSPort: 443, OriginProtocolPolicy: 'http-only' } }] },
  DefaultCacheBehavior: {
    TargetOriginId: 'o', ViewerProtocolPolicy: 'allow-all', CachePolicyId: '4135ea2d-6df8-44a3-9df3-4b5a84be39ad',
    LambdaFunctionAssociations: { Quantity: 1, Items: [{ LambdaFunctionARN: made.FunctionArn, EventType: 'viewer-request' }] },
  },
};
const created = await cf.send(new cloudfront.CreateDistributionWithTagsCommand({
  DistributionConfigWithTags: { DistributionConfig: config, Tags: { Items: [{ Key: 'k', Value: 'v' }] } },
}));
const { Id, ARN } = created.Distribution;
assert.deepEqual((await cf.send(new cloudfront.ListTagsForResourceCommand({ Resource: ARN }))).Tags.Items, [{ Key: 'k', Value: 'v' }]);
await cloudfront.waitUntilDistributionDeployed({ client: cf, maxWaitTime: 70 }, { Id });
const { DistributionConfig, ETag } = await cf.send(new cloudfront.GetDistributionConfigCommand({ Id }));
await assert.rejects(cf.send(new cloudfront.DeleteDistributionCommand({ Id, IfMatch: ETag })), { name: 'DistributionNotDisabled' });
// What was read can be written back.
const off = await cf.send(new cloudfront.UpdateDistributionCommand({ Id, IfMatch: ETag, DistributionConfig: { ...DistributionConfig, Enabled: false } }));
await cf.send(new cloudfront.DeleteDistributionCommand({ Id, IfMatch: off.ETag }));
await assert.rejects(cf.send(new cloudfront.GetDistributionCommand({ Id })), { name: 'NoSuchDistribution' });
await lam.send(new lambda.DeleteFunctionCommand({ FunctionName: arn }));
