--- Two-way: a link for each pair of records holds what both sides had when they last agreed (the base). What differs
--- from the base has changed on that side, so each run is a merge of three: base, left, right. Own writes look like the
--- base when they come back as changes, and cause nothing.
---
--- Order that makes a crash harmless: what is about to be written is stored as pending; it is written; then the links,
--- the cursor of the page and the end of the pending entries are one commit. The next run first looks what became of
--- pending entries. A record that a crash cut off between its creation and its link is found by its key, not made again.
local definition = require "sync.definition"
local guards = require "sync.guards"
local state = require "sync.state"

local twoway = {}

local OTHER = { left = "right", right = "left" }
local LONG = 64              -- longer texts are kept as a hash in the base
local SETTLE = 30            -- seconds until HubSpot's index shows what was created

---@class sync.pair
---@field left table|nil the record, as it is now
---@field right table|nil
---@field link table|nil { l =, r =, b = base, g = the side that is gone and stays so }
---@field texts {left: table, right: table}|nil

local function packed(s)
  if s == nil or #s <= LONG then return s end
  return "#" .. crypto.sha256(s):sub(1, 32)
end

local function bad_id(side, id) return side .. " " .. id end

local function put_bad(run, side, record, reason, duplicate)
  local id = bad_id(side, record.id)
  local entry = state.bad(id, reason, record)
  entry.side, entry.source, entry.duplicate = side, not record.loose and record.id or nil, duplicate
  run.result:add_bad(id, entry.reason, entry.row)
  run.bad_ids[state.bad_id(id)] = true
  run.puts["q/" .. state.bad_id(id)] = entry
end

local function put_well(run, side, id)
  id = id and state.bad_id(bad_id(side, id))
  if not id or not run.bad_ids[id] then return end
  run.bad_ids[id] = nil
  run.puts["q/" .. id] = false
end

-- `lost`: the right side's id belongs to another record by now, because the database gave it out anew.
local function put_link(run, link)
  run.puts[state.spread("l", link.l)] = { l = link.l, r = link.r, b = link.b, g = link.g }
  if not link.lost then run.puts[state.spread("r", link.r)] = link.l end
end

local function drop_link(run, link)
  local l, r = state.spread("l", link.l), state.spread("r", link.r)
  run.puts[l] = false
  put_well(run, "left", link.l)
  if link.lost then return end
  put_well(run, "right", link.r)
  if run.puts[r] == nil or run.puts[r] == link.l then run.puts[r] = false end
end

-- Links by the ids of a side. What this page has put is newer than what is stored. Waits.
local function links_of(run, side, ids)
  local keys, out, lids = {}, {}, {}
  local function read(list)
    local ask, got = {}, {}
    for _, key in ipairs(list) do
      if run.puts[key] == nil then ask[#ask + 1] = key else got[key] = run.puts[key] end
    end
    local stored = #ask > 0 and run.state:get_all(ask) or {}
    for _, key in ipairs(ask) do got[key] = stored[key] end
    return got
  end
  for i, id in ipairs(ids) do keys[i] = state.spread(side == "left" and "l" or "r", id) end
  local found = read(keys)
  if side == "left" then
    for i, id in ipairs(ids) do
      local link = found[keys[i]]
      out[id] = link and { l = link.l, r = link.r, b = link.b, g = link.g } or nil
      if link then lids[#lids + 1] = state.spread("r", link.r) end
    end
    local back = read(lids)
    for id, link in pairs(out) do link.lost = back[state.spread("r", link.r)] ~= id or nil end
    return out
  end
  for i, id in ipairs(ids) do
    if found[keys[i]] == "forgotten" then   -- `hubloop forget`: no link
      run.forgotten[id], found[keys[i]] = true, nil
    end
    if found[keys[i]] then lids[#lids + 1] = state.spread("l", found[keys[i]]) end
  end
  local links = read(lids)
  for i, id in ipairs(ids) do
    local link = found[keys[i]] and links[state.spread("l", found[keys[i]])]
    if link and link.r == id then out[id] = link end
  end
  return out
end

---------------------------------------------------------------------------------------------------- merging

-- Who gives way where both sides have changed: the side to write, nil for neither; and whether a person is asked.
local function contested(run, pair, field, a, b)
  local policy = field.conflict
  if policy == "left" then return "right" end
  if policy == "right" then return "left" end
  if policy == "never_overwrite" then
    if a == nil then return "left" end
    return b == nil and "right" or nil
  end
  if policy == "newest" then
    local l, r = pair.left.modified, pair.right.modified
    return l and r and r > l and "left" or "right"
  end
  local decided = pair.link and run.decided["c/" .. state.bad_id(pair.link.l)]
  decided = decided and decided[field.name]
  if decided and decided.left == a and decided.right == b then return OTHER[decided.side] end
  return nil, true
end

-- What has to be written to either side, and the new base.
local function merge(run, pair)
  local base = pair.link and pair.link.b or {}
  local out = { base = {}, left = {}, right = {}, flow = {}, asked = nil, fields = { left = {}, right = {} } }
  for _, field in ipairs(run.def.fields) do
    local name = field.name
    local a, b, held = pair.texts.left[name], pair.texts.right[name], base[name]
    if a == b then
      out.base[name] = packed(a)
    else
      local to, ask
      local left_changed, right_changed = packed(a) ~= held, packed(b) ~= held
      if field.conflict == "never_overwrite" or left_changed and right_changed then to, ask = contested(run, pair, field, a, b)
      elseif left_changed then to = "right" else to = "left" end
      out.base[name] = held
      if to then
        local s, was = a, b
        if to == "left" then s, was = b, a end
        local value = field.write[to](s)
        out[to][field[to]] = value == nil and json.null or value
        out.flow[name] = { to = to, base = packed(s) }
        out.fields[to][name] = { from = was, to = s }
      elseif ask then
        out.asked = out.asked or {}
        out.asked[name] = { left = a, right = b }
      end
    end
  end
  return out
end

---------------------------------------------------------------------------------------------------- a page's work

local function new_work() return { left = {}, right = {}, done = {} } end

local function op_count(work) return #work.left + #work.right end

-- `after(outcome)` is called when the write was made, with its outcome.
local function add_op(work, side, op, pending, after)
  table.insert(work[side], { op = op, pending = pending, after = after })
end

local function change_of(run, action, side, pair, fields)
  local key = pair.texts and (pair.texts.left or pair.texts.right) or {}
  return { action = action, on = side, key = key[run.def.key.name], fields = fields,
    id = pair[side] and pair[side].id or nil }
end

-- A record that one side lacks.
local function plan_create(run, work, pair, side)
  local from = OTHER[side]
  local record, texts = pair[from], pair.texts[from]
  local written, base, fields = {}, {}, {}
  for _, field in ipairs(run.def.fields) do
    local s = texts[field.name]
    if s ~= nil then
      written[field[side]] = field.write[side](s)
      base[field.name] = packed(s)
      fields[field.name] = { to = s }
    end
  end
  local key = tostring(run.def.key.write[side](texts[run.def.key.name]))
  local pending = { made = side, from = record.id, key = key, b = base }
  add_op(work, side, { kind = "create", key = key, key_property = run.def.key[side], values = written }, pending, function(outcome)
    if outcome.error then return put_bad(run, from, record, outcome.error) end
    run.result:add("created", change_of(run, "create", side, { texts = { left = texts } }, fields))
    put_well(run, from, record.id)
    if outcome.id then
      if run.def[side].lags and not run.def[side].unique then run.made[side .. key] = outcome.id end
      put_link(run, { l = from == "left" and record.id or outcome.id, r = from == "right" and record.id or outcome.id, b = base })
    end
  end)
end

local function plan_delete(run, work, pair, side, action)
  local record = pair[side]
  run.deleted = run.deleted + 1
  guards.deletes(run, run.deleted)
  add_op(work, side, { kind = "delete", id = record.id }, nil, function(outcome)
    if outcome.error then return put_bad(run, side, record, outcome.error) end
    run.result:add(action == "merge" and "merged" or "deleted", change_of(run, action or "delete", side, pair))
    put_well(run, side, record.id)
  end)
end

local function put_conflict(run, pair, asked)
  local id = pair.left.id
  local key = "c/" .. state.bad_id(id)
  if asked then
    if not run.asked[key] then run.result:add "conflicts" end
    run.asked[key] = true
    run.puts[key] = { id = id, left_id = id, right_id = pair.right.id, key = pair.texts.left[run.def.key.name], fields = asked }
    run.known_conflicts[key] = true
  elseif run.known_conflicts[key] then
    run.puts[key] = false
    run.known_conflicts[key] = nil
  end
  if run.decided[key] then
    run.puts["d/" .. state.bad_id(id)] = false
    run.decided[key] = nil
  end
end

-- Both sides are there: what differs is merged.
local function plan_pair(run, work, pair)
  local m = merge(run, pair)
  local link = { l = pair.left.id, r = pair.right.id, b = m.base }
  local waiting, failed = 0, false
  local function finish()
    put_link(run, link)
    if not failed then
      put_well(run, "left", link.l)
      put_well(run, "right", link.r)
    end
  end
  for _, side in ipairs { "left", "right" } do
    if next(m[side]) then
      waiting = waiting + 1
      local flows = {}
      for name, flow in pairs(m.flow) do
        if flow.to == side then flows[name] = flow.base or false end
      end
      local pending = { l = link.l, r = link.r, to = side, b = flows, old = m.base }
      add_op(work, side, { kind = "update", id = pair[side].id, values = m[side] }, pending, function(outcome)
        if outcome.error then
          failed = true
          put_bad(run, OTHER[side], pair[OTHER[side]], outcome.error)
        else
          for name, base in pairs(flows) do link.b[name] = base or nil end
          run.result:add("updated", change_of(run, "update", side, pair, m.fields[side]))
        end
        waiting = waiting - 1
        if waiting == 0 then finish() end
      end)
    end
  end
  put_conflict(run, pair, m.asked)
  if waiting > 0 then return end
  if not pair.link then run.result:add("linked", change_of(run, "link", "right", pair))
  elseif not m.asked then run.result:add "unchanged" end
  finish()
end

-- The texts of both sides; false when one of them cannot be read, which is then bad.
local function read_texts(run, pair)
  pair.texts = {}
  for _, side in ipairs { "left", "right" } do
    if pair[side] then
      local texts, wrong = definition.texts(run.def, side, pair[side].values)
      if wrong then
        put_bad(run, side, pair[side], wrong)
        return false
      end
      pair.texts[side] = texts
    end
  end
  return true
end

local function same_as_base(run, texts, base)
  for _, field in ipairs(run.def.fields) do
    if packed(texts[field.name]) ~= base[field.name] then return false end
  end
  return true
end

-- One side of a linked pair is gone.
local function plan_gone(run, work, pair, gone)
  local link, rest = pair.link, OTHER[gone]
  if not pair[rest] then
    drop_link(run, link)
  elseif run.def.deletes == "ignore" then
    link.g = gone
    put_link(run, link)
  elseif same_as_base(run, pair.texts[rest], link.b) then
    plan_delete(run, work, pair, rest)
    drop_link(run, link)
  else
    -- Changed on one side, deleted on the other: what was written by a person stays.
    drop_link(run, link)
    plan_create(run, work, pair, rest == "left" and "right" or "left")
  end
end

local function plan(run, work, pair)
  if run.dry_run then
    for _, side in ipairs { "left", "right" } do
      local id = pair[side] and side .. pair[side].id
      if id and run.seen[id] then return end
      if id then run.seen[id] = true end
    end
  end
  if not read_texts(run, pair) then return end
  if pair.left and pair.right then return plan_pair(run, work, pair) end
  local gone = pair.left and "right" or "left"
  if pair.link then return plan_gone(run, work, pair, gone) end
  if pair.left or pair.right then plan_create(run, work, pair, gone) end
end

-- Stores what is about to be written, writes it, and leaves links and cursor to the caller's commit. Waits.
local function perform(run, work)
  if run.dry_run then
    for _, side in ipairs { "left", "right" } do
      for _, one in ipairs(work[side]) do one.after {} end
    end
    return
  end
  if op_count(work) == 0 then return end
  local before, n = {}, 0
  for _, side in ipairs { "left", "right" } do
    for _, one in ipairs(work[side]) do
      if one.pending then
        n = n + 1
        before[("p/%06d"):format(n)] = one.pending
        run.puts[("p/%06d"):format(n)] = false
      end
    end
  end
  if n > 0 then run.state:commit(before) end
  for _, side in ipairs { "left", "right" } do
    local ops = {}
    for i, one in ipairs(work[side]) do ops[i] = one.op end
    local outcomes = #ops > 0 and run.def[side].write(ops) or {}
    for i, one in ipairs(work[side]) do one.after(outcomes[i]) end
  end
end

---------------------------------------------------------------------------------------------------- from records to pairs

-- Records that several linked ones were merged into: one link stays, and what the others were linked to goes.
local function follow_merges(run, work, side, records)
  local other, olds, ids = OTHER[side], {}, {}
  for _, record in ipairs(records) do
    for _, old in ipairs(record.merged or {}) do
      if old ~= record.id then olds[#olds + 1] = old end
    end
    if record.merged and #record.merged > 0 then ids[#ids + 1] = record.id end
  end
  if #olds == 0 then return end
  local links = links_of(run, side, olds)
  if not next(links) then return end
  local own = links_of(run, side, ids)
  local theirs = {}
  for _, set in ipairs { links, own } do
    for _, link in pairs(set) do
      if not link.lost then theirs[#theirs + 1] = link[other == "left" and "l" or "r"] end
    end
  end
  table.sort(theirs)
  local now = run.def[other].get(theirs, run.def.names[other])
  local mine, yours = side == "left" and "l" or "r", side == "left" and "r" or "l"
  for _, record in ipairs(records) do
    local group, seen = {}, { [record.id] = true }
    for _, old in ipairs(record.merged or {}) do
      if not seen[old] and links[old] then group[#group + 1] = links[old] end
      seen[old] = true
    end
    if #group > 0 then
      local keep = own[record.id]
      local key = definition.texts(run.def, side, record.values)[run.def.key.name]
      for _, link in ipairs(keep and {} or group) do
        local twin = not link.lost and now[link[yours]] or nil
        if twin and not link.g and (not keep or definition.texts(run.def, other, twin.values)[run.def.key.name] == key) then keep = link end
      end
      keep = keep or group[1]
      for _, link in ipairs(group) do
        drop_link(run, link)
        local twin = not link.lost and now[link[yours]] or nil
        if link ~= keep and twin and twin.id == link[yours] and link[yours] ~= keep[yours] and run.def.deletes == "follow" then
          local texts = definition.texts(run.def, other, twin.values)
          if not same_as_base(run, texts, link.b) then
            table.insert(run.result.notes, ("%s of %s was merged away and had changes of its own: %s"):format(twin.id,
              run.def[other].label, json.encode(twin.values)))
          end
          plan_delete(run, work, { [other] = twin, texts = { [other] = texts } }, other, "merge")
        end
      end
      put_link(run, { [mine] = record.id, [yours] = keep[yours], b = keep.b, g = keep.g, lost = keep.lost })
    end
  end
end

-- Deleted records as they are now: gone, back again, or merged into another one. Waits.
local function resolve(run, side, records)
  local ids, by_id, out = {}, {}, {}
  for _, record in ipairs(records) do
    if record.deleted then ids[#ids + 1] = record.id end
  end
  local links = #ids > 0 and links_of(run, side, ids) or {}
  local ask = {}
  for _, id in ipairs(ids) do
    if links[id] and not links[id].g then ask[#ask + 1] = id end
  end
  local now = #ask > 0 and run.def[side].get(ask, run.def.names[side]) or {}
  for _, record in ipairs(records) do
    local current = record
    if record.deleted then
      current = links[record.id] and not links[record.id].g and (now[record.id] or record) or nil
      if current and current.id ~= record.id then
        current.merged = current.merged or {}
        table.insert(current.merged, record.id)
      end
    end
    local before = current and by_id[current.id]
    if before and before ~= current then
      before.merged = before.merged or {}
      table.move(current.merged or {}, 1, #(current.merged or {}), #before.merged + 1, before.merged)
    elseif current and not before then
      by_id[current.id] = current
      out[#out + 1] = current
    end
  end
  return out
end

-- Whom an unlinked record belongs to: by its key at the other side. Waits.
local function match(run, work, side, unlinked)
  local def, other = run.def, OTHER[side]
  local wanted, of, first = {}, {}, {}
  for _, record in ipairs(unlinked) do
    local texts, wrong = definition.texts(def, side, record.values)
    local key = texts[def.key.name]
    if wrong then
      put_bad(run, side, record, wrong)
    elseif first[key] then
      put_bad(run, side, record, ("has the same key as %s"):format(first[key]), true)
    else
      first[key] = record.id
      of[#of + 1] = { record = record, raw = tostring(def.key.write[other](key)) }
      wanted[#wanted + 1] = of[#of].raw
    end
  end
  if #wanted == 0 then return end
  local found = def[other].find(def.key[other], wanted, def.names[other])
  local ids, lost = {}, {}
  for _, one in ipairs(of) do
    local made = run.made[other .. one.raw]
    if made and not found[one.raw] then lost[#lost + 1] = made end
    if found[one.raw] and not found[one.raw].several then ids[#ids + 1] = found[one.raw].id end
  end
  if #lost > 0 then   -- made in this run, and the search does not show it yet
    local now = def[other].get(lost, def.names[other])
    for _, one in ipairs(of) do
      local made = run.made[other .. one.raw]
      if made and not found[one.raw] and now[made] then
        found[one.raw] = now[made]
        ids[#ids + 1] = now[made].id
      end
    end
  end
  local links, holders = links_of(run, other, ids), {}
  local mine = side == "left" and "l" or "r"
  for _, link in pairs(links) do holders[#holders + 1] = link[mine] end
  table.sort(holders)
  local held = #holders > 0 and def[side].get(holders, def.names[side]) or {}
  for _, one in ipairs(of) do
    local record, twin = one.record, found[one.raw]
    local link = twin and not twin.several and links[twin.id] or nil
    local holder = link and not link.lost and held[link[mine]]
    if twin and twin.several then
      put_bad(run, side, record, ("%d records of %s have this key: %s"):format(#twin.several, def[other].label,
        table.concat(twin.several, ", ")), true)
    elseif holder and holder.id ~= record.id and link.g ~= side then
      put_bad(run, side, record, ("has the same key as %s, which is linked to %s"):format(holder.id, twin.id), true)
    else
      if link then
        drop_link(run, link)
        link = { [mine] = record.id, [mine == "l" and "r" or "l"] = twin.id, b = link.b }
        put_link(run, link)
      end
      if not twin and side == "right" and run.forgotten[record.id] then run.result:add "skipped"
      else plan(run, work, { [side] = record, [other] = twin, link = link }) end
    end
  end
end

-- Records of one side that may have changed: merged with the other side. Waits.
local function records_of(run, side, records, counted)
  local other, work = OTHER[side], new_work()
  if counted then
    for _, record in ipairs(records) do
      if not record.deleted then run.result.read = run.result.read + 1 end
    end
  end
  for i = #records, 1, -1 do
    if records[i].bad then put_bad(run, side, records[i], records[i].bad) table.remove(records, i) end
  end
  records = resolve(run, side, records)
  follow_merges(run, work, side, records)
  local ids = {}
  for i, record in ipairs(records) do ids[i] = record.id end
  local links = links_of(run, side, ids)
  local unlinked, linked, theirs = {}, {}, {}
  for _, record in ipairs(records) do
    local link = links[record.id]
    if not link then
      if not record.deleted then unlinked[#unlinked + 1] = record end
    elseif not link.g then
      local texts, wrong = definition.texts(run.def, side, record.values)
      local decided = run.decided["c/" .. state.bad_id(link.l)]
      if not record.deleted and not wrong and not decided and not run.looking and same_as_base(run, texts, link.b) then
        run.result:add "unchanged"
        put_well(run, side, record.id)
      else
        linked[#linked + 1] = { record = record, link = link }
        theirs[#theirs + 1] = link[other == "left" and "l" or "r"]
      end
    end
  end
  local now = #theirs > 0 and run.def[other].get(theirs, run.def.names[other]) or {}
  for i, one in ipairs(linked) do
    local id, link = theirs[i], one.link
    local twin = not link.lost and now[id] or nil
    if twin and twin.id ~= id then
      -- Merged at the other side: its own page follows the merge, with all who are linked to it.
      twin.merged = twin.merged or {}
      table.insert(twin.merged, id)
      follow_merges(run, work, other, { twin })
      link = links_of(run, other, { twin.id })[twin.id]
      if not link or link[side == "left" and "l" or "r"] ~= one.record.id then link = nil end
    end
    if link then
      local pair = { link = link, [other] = twin }
      if not one.record.deleted then pair[side] = one.record end
      plan(run, work, pair)
    end
  end
  match(run, work, side, unlinked)
  perform(run, work)
  guards.bad(run)
end

---------------------------------------------------------------------------------------------------- a run

-- What became of the writes that the last run had begun. Waits.
local function recover(run)
  local list = {}
  for keys in run.state:keys "p/" do
    local stored = run.state:get_all(keys)
    for _, key in ipairs(keys) do
      list[#list + 1] = stored[key]
      run.puts[key] = false
    end
  end
  if #list == 0 then return end
  local made, touched = { left = {}, right = {} }, {}
  for _, entry in ipairs(list) do
    if entry.made then table.insert(made[entry.made], entry) else touched[#touched + 1] = entry end
  end
  for _, side in ipairs { "left", "right" } do
    local keys = {}
    for i, entry in ipairs(made[side]) do keys[i] = entry.key end
    if #keys > 0 then
      if run.def[side].lags and not run.def[side].unique then task.sleep(SETTLE) end
      local found = run.def[side].find(run.def.key[side], keys, run.def.names[side])
      local ids, froms = {}, {}
      for i, entry in ipairs(made[side]) do
        if found[entry.key] and not found[entry.key].several then ids[#ids + 1] = found[entry.key].id end
        froms[i] = entry.from
      end
      local linked, from_linked = links_of(run, side, ids), links_of(run, OTHER[side], froms)
      for _, entry in ipairs(made[side]) do
        local record = found[entry.key]
        if record and not record.several and not linked[record.id] and not from_linked[entry.from] then
          put_link(run, { l = side == "left" and record.id or entry.from, r = side == "right" and record.id or entry.from, b = entry.b })
          touched[#touched + 1] = { l = side == "left" and record.id or entry.from }
        end
      end
    end
  end
  local lids = {}
  for i, entry in ipairs(touched) do lids[i] = entry.l end
  local links = links_of(run, "left", lids)
  local left = #lids > 0 and run.def.left.get(lids, run.def.names.left) or {}
  local rids = {}
  for _, entry in ipairs(touched) do
    if links[entry.l] then rids[#rids + 1] = links[entry.l].r end
  end
  local right = #rids > 0 and run.def.right.get(rids, run.def.names.right) or {}
  local again = {}
  for _, entry in ipairs(touched) do
    -- A value that stands where we were about to write it is our own, and no change of that side.
    local link = links[entry.l]
    local record = link and entry.to and (entry.to == "left" and left[link.l] or entry.to == "right" and right[link.r])
    if record and record.id == (entry.to == "left" and link.l or link.r) then
      local texts = definition.texts(run.def, entry.to, record.values)
      for name, base in pairs(entry.b) do
        if packed(texts[name]) == (base or nil) then link.b[name] = base or nil end
      end
      put_link(run, link)
    end
    if left[entry.l] then again[#again + 1] = left[entry.l] end
  end
  run.looking = true
  records_of(run, "left", again)
  run.looking = nil
  run.commit()
end

-- Ids in lists as long as a page.
local function in_pages(run, list, fn)
  for at = 1, #list, run.def.page do fn(table.move(list, at, math.min(#list, at + run.def.page - 1), 1, {})) end
end

-- Records that are looked at again whatever has changed: of decided conflicts, and of what was a duplicate. Waits.
local function again(run, side, ids)
  table.sort(ids)
  in_pages(run, ids, function(part)
    local now, records = run.def[side].get(part, run.def.names[side]), {}
    for _, id in ipairs(part) do
      records[#records + 1] = now[id] or { id = id, values = {}, deleted = true }
      if not now[id] then put_well(run, side, id) end
    end
    run.looking = true
    records_of(run, side, records)
    run.looking = nil
    run.commit()
  end)
end

-- Linked records of a side that does not tell what was deleted. Waits.
local function sweep(run, side)
  local mine = side == "left" and "l" or "r"
  for keys in run.state:keys "l/" do
    in_pages(run, keys, function(part)
      local stored, lids, ids, lost = run.state:get_all(part), {}, {}, {}
      for _, key in ipairs(part) do
        if stored[key] and not stored[key].g then lids[#lids + 1] = stored[key].l end
      end
      local links = links_of(run, "left", lids)
      for _, lid in ipairs(lids) do
        if links[lid].lost then lost[#lost + 1] = lid else ids[#ids + 1] = links[lid][mine] end
      end
      local now, gone = run.def[side].get(ids, run.def.names[side]), {}
      for _, id in ipairs(ids) do
        if not now[id] or now[id].id ~= id then gone[#gone + 1] = { id = id, values = {}, deleted = true } end
      end
      if #gone > 0 then
        records_of(run, side, gone)
        run.commit()
      end
      if #lost > 0 then again(run, "left", lost) end
    end)
  end
end

---Runs a two-way mapping. Waits.
---@param run table what sync.lua makes of a definition and its options
function twoway.run(run)
  run.made, run.seen, run.asked, run.forgotten, run.deleted = {}, {}, {}, {}, 0
  local saved = run.state:get "cursor" or {}
  if not run.dry_run then recover(run) end
  local decided = {}
  for key in pairs(run.decided) do
    local conflict = run.state:get(key)
    if conflict then decided[#decided + 1] = conflict.left_id else run.puts["d/" .. key:sub(3)] = false end
  end
  if #decided > 0 then again(run, "left", decided) end
  for _, side in ipairs { "left", "right" } do
    local duplicates = {}
    for _, entry in ipairs(run.entries()) do
      if entry.duplicate and entry.side == side then duplicates[#duplicates + 1] = entry.source end
    end
    if #duplicates > 0 then again(run, side, duplicates) end
    local cursor = not run.full and saved[side] or nil
    local how = { size = run.def.page, total = run.shown, key = run.def.key[side], deletes = true }
    for page in run.def[side].changes(cursor, run.def.names[side], how) do
      records_of(run, side, page.records, true)
      put_well(run, side, page.well)
      run.progress(run.result.read, page.share)
      saved[side] = page.cursor
      run.puts.cursor = { left = saved.left, right = saved.right }
      run.commit()
    end
    if run.def.deletes == "follow" and (run.full or not run.def[side].deletions) then sweep(run, side) end
  end
end

---Looks at the records of the quarantine again. Waits.
function twoway.retry(run, list)
  run.made, run.seen, run.asked, run.forgotten, run.deleted = {}, {}, {}, {}, 0
  for _, side in ipairs { "left", "right" } do
    local ids = {}
    for _, entry in ipairs(list) do
      if entry.side == side then ids[#ids + 1] = entry.source end   -- none: rows without an id
    end
    if #ids > 0 then again(run, side, ids) end
  end
end

return twoway
