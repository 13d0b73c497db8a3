#!/bin/sh
# Runs a program alone in a control group with the processor's controller, as a
# service manager does where a unit says Delegate=cpu.
if [ -n "${SELVEDGE_VM_GROUPS:-}" ] && mkdir "$SELVEDGE_VM_GROUPS/own-$$" 2>/dev/null; then
  echo $$ >"$SELVEDGE_VM_GROUPS/own-$$/cgroup.procs"
fi
exec "$@"
