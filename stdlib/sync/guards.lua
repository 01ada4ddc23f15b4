--- Where a run stops rather than do harm: too many bad rows, too many deletions.
local _, host = ...

local guards = {}

---Raises when the run has more bad rows than the mapping allows.
function guards.bad(run)
  local most = run.def.max_bad
  if run.result.bad <= most then return end
  local first = run.result.bad_rows[1]
  error(host.error { kind = "limit", message = ("sync %s: more than %d bad rows of %d, such as %s: %s. Is the mapping right? "
    .. "max_bad = N allows more"):format(run.def.name, most, run.result.read, first.id, first.reason) }, 0)
end

---Raises when `n` deletions are more than the mapping allows, before the page with the one too many is written.
function guards.deletes(run, n)
  if n <= run.def.max_deletes then return end
  error(host.error { kind = "limit", message = ("sync %s: more than %d records would be deleted; max_deletes = N allows more")
    :format(run.def.name, run.def.max_deletes) }, 0)
end

return guards
