/** `postern ipsec ...` */
import { buildRouteMap } from '@stricli/core';
import { ipsecRun, ipsecStatus } from './ipsec-daemon.ts';
import { peerRoutes } from './ipsec-peer.ts';
import { checkCommand, proofCommand } from './ipsec-proof.ts';
import {
  applyCommand,
  confirmCommand,
  explainCommand,
  planCommand,
  rollbackCommand,
} from './ipsec-policy.ts';

export const ipsecRoutes = buildRouteMap({
  docs: { brief: 'IPsec between front-ends and back-ends' },
  routes: {
    run: ipsecRun,
    status: ipsecStatus,
    plan: planCommand,
    apply: applyCommand,
    confirm: confirmCommand,
    rollback: rollbackCommand,
    explain: explainCommand,
    check: checkCommand,
    proof: proofCommand,
    peer: peerRoutes,
  },
});
