// A pod network in JavaScript: proof that the contract is not shaped by Rust. Each pod has an address of
// its own (/32) and a route on the node; the same design as `calico` beside it, in fewer words.

import { log } from 'k3s:host/log@0.1.0';
import * as net from 'k3s:net/net@0.1.0';
import * as ipam from 'k3s:ipam/ipam@0.1.0';

const NETWORK = 'javascript';
const NODE = 'node';
let local = null;

const nothing = () => ({ links: [], routes: [], neighbours: [], sysctls: [], tables: [], elements: [] });
const fail = (tag, val) => { throw { tag, val }; };

// What the host refuses, in this contract's words. The host's error is the thrown value's payload.
function asking(call) {
  try {
    return call();
  } catch (error) {
    const { tag, val } = error?.payload ?? { tag: 'other', val: String(error) };
    fail({ failed: 'retry', unavailable: 'retry', exhausted: 'exhausted', denied: 'invalid', conflict: 'invalid' }[tag] ?? 'other', val ?? tag);
  }
}

// FNV-1a, as long as the kernel lets a link's name be.
function linkName(id) {
  let hash = 0x811c9dc5;
  for (const char of id) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193) >>> 0;
  return 'veth' + hash.toString(16).padStart(8, '0');
}

function firstAddress(cidr) {
  const parts = cidr.split('/')[0].split('.').map(Number);
  parts[3] += 1;
  return parts.join('.');
}

function ready() {
  return local ?? fail('not-ready', 'this node has no pod CIDR yet');
}

function routes() {
  const owners = new Set(asking(() => net.owners()));
  const connected = asking(() => ipam.leases(NETWORK)).filter((lease) => owners.has(lease.owner));
  const plan = nothing();
  plan.routes = connected.map(({ address, owner }) => ({
    link: linkName(owner),
    route: { destination: `${address}/32`, gateway: undefined, onLink: false },
  }));
  asking(() => net.apply(NODE, plan));
}

function pod(id, address) {
  const { gateway } = ready().range;
  const plan = nothing();
  plan.links = [{
    name: linkName(id),
    kind: {
      tag: 'pod',
      val: {
        name: 'eth0',
        mac: undefined,
        addresses: [`${address}/32`],
        routes: [
          { destination: `${gateway}/32`, gateway: undefined, onLink: false },
          { destination: '0.0.0.0/0', gateway, onLink: true },
        ],
      },
    },
    mtu: ready().mtu,
    mac: undefined,
    bridge: undefined,
    hairpin: false,
    addresses: [`${gateway}/32`],
  }];
  return plan;
}

export const plugin = {
  describe: () => ({ name: 'javascript', version: '0.1.0' }),
  configure(bytes) {
    const text = new TextDecoder().decode(bytes);
    const config = text.trim() === '' ? {} : JSON.parse(text);
    const unknown = Object.keys(config).find((key) => key !== 'network');
    if (unknown) fail('invalid', `unknown setting ${unknown}`);
  },
};

export const network = {
  sync(thisNode, nodes) {
    const cidr = nodes.find(({ name }) => name === thisNode)?.podCidrs.find((text) => text.includes('.'));
    if (!cidr) fail('not-ready', `node ${thisNode} has no pod CIDR yet`);
    if (!local) log('info', `pods of ${thisNode} are routed from ${cidr}`);
    local = { range: { subnet: cidr, gateway: firstAddress(cidr) }, mtu: asking(() => net.findUplink()).mtu };
    routes();
    return { annotations: [], subnetEnv: '' };
  },
  status() {
    ready();
  },
  add({ id, ports }) {
    if (ports.length > 0) fail('invalid', 'host ports are not offered by this network');
    const { range } = ready();
    const address = asking(() => ipam.allocate(NETWORK, range, id));
    const plan = pod(id, address);
    asking(() => net.apply(id, plan));
    routes();
    return { addresses: [address] };
  },
  del(id) {
    asking(() => net.remove(id));
    routes();
    asking(() => ipam.release(NETWORK, id));
  },
  check({ id }) {
    const lease = asking(() => ipam.leases(NETWORK)).find(({ owner }) => owner === id);
    if (!lease) fail('other', `sandbox ${id} has no address`);
    const plan = pod(id, lease.address);
    const differences = asking(() => net.differences(id, plan));
    if (differences.length > 0) fail('other', differences.join('; '));
  },
  gc(validIds) {
    const keep = new Set([...validIds, NODE]);
    for (const owner of asking(() => net.owners())) if (!keep.has(owner)) asking(() => net.remove(owner));
    for (const { owner } of asking(() => ipam.leases(NETWORK))) {
      if (!keep.has(owner)) asking(() => ipam.release(NETWORK, owner));
    }
    routes();
  },
};
