// An agent on the OpAMP client for Node.js. It tells by JSON lines on standard output what its client sent and was
// answered, and is told by JSON lines on standard input what to do.
import {subscribe} from 'node:diagnostics_channel';
import {createInterface} from 'node:readline';

import {
    AgentCapabilities,
    DIAG_CH_SEND_FAIL,
    DIAG_CH_SEND_SUCCESS,
    RemoteConfigStatuses,
    createOpAMPClient,
} from '@elastic/opamp-client-node';

const [endpoint, instanceUid, token] = process.argv.slice(2);

const hex = (bytes) => Buffer.from(bytes ?? []).toString('hex');
const tell = (event) => console.log(JSON.stringify(event));

// A config is applied, or fails where its text says so.
function apply({remoteConfig}) {
    const files = {};
    for (const [name, file] of Object.entries(remoteConfig.config.configMap)) {
        files[name] = Buffer.from(file.body).toString();
    }
    tell({event: 'config', hash: hex(remoteConfig.configHash), files});
    const broken = Object.values(files).some((body) => body.includes('broken'));
    client.setRemoteConfigStatus({
        lastRemoteConfigHash: remoteConfig.configHash,
        status: broken
            ? RemoteConfigStatuses.RemoteConfigStatuses_FAILED
            : RemoteConfigStatuses.RemoteConfigStatuses_APPLIED,
        errorMessage: broken ? 'it says that it is broken' : '',
    });
}

const client = createOpAMPClient({
    endpoint,
    instanceUid,
    headers: token ? {Authorization: `Bearer ${token}`} : {},
    capabilities:
        AgentCapabilities.AgentCapabilities_AcceptsRemoteConfig |
        AgentCapabilities.AgentCapabilities_ReportsRemoteConfig,
    heartbeatIntervalSeconds: 0.2,
    onMessage: apply,
    diagEnabled: true,
});

subscribe(DIAG_CH_SEND_SUCCESS, ({a2s, s2a}) =>
    tell({
        event: 'answered',
        sequence: Number(a2s.sequenceNum),
        described: a2s.agentDescription !== undefined,
        uid: hex(s2a.instanceUid),
        capabilities: Number(s2a.capabilities),
        flags: Number(s2a.flags),
        new_uid: hex(s2a.agentIdentification?.newInstanceUid),
        own_uid: hex(client.getInstanceUid()),
    })
);
subscribe(DIAG_CH_SEND_FAIL, ({err, retryAfterMs}) =>
    tell({event: 'failed', error: String(err), retry_after_ms: retryAfterMs})
);

const describe = (region) =>
    client.setAgentDescription({
        identifyingAttributes: {'service.name': 'node-client'},
        nonIdentifyingAttributes: {region, cores: 2, spot: true},
    });
describe('us-west');
client.start();

for await (const line of createInterface({input: process.stdin})) {
    const order = JSON.parse(line);
    if (order.do === 'describe') {
        describe(order.region);
    } else if (order.do === 'stop') {
        break;
    } else {
        throw new Error(`no such order: ${order.do}`);
    }
}
await client.shutdown();
tell({event: 'stopped'});
process.exit(0);
