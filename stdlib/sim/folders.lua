-- The folders of lists, /crm/lists/V/folders/…: a tree below folder 0. A folder is { id, name, parent, created, updated };
-- which lists are in it stands in them (l.folder).
local U = require "sim.util"
local E = require "sim.errors"
local json = json

local H = {}

local ROOT = "0"

function H.attach(S)
  local root = { id = ROOT, parent = ROOT, created = S.born, updated = S.born }
  S.folders = { by_id = { [ROOT] = root }, order = {}, next_id = 1 }
end

---The folder of an id; raises 404.
function H.of(S, id)
  return S.folders.by_id[id] or E.not_found("List folder " .. tostring(id) .. " does not exist", { subCategory = "ILS.FOLDER_NOT_FOUND" })
end

local function lists_in(S, folder)
  local out = {}
  for _, l in ipairs(S.lists.order) do
    if l.folder == folder.id and not l.deleted then out[#out + 1] = math.tointeger(tonumber(l.id)) end
  end
  return out
end

local function children(S, folder)
  local out = {}
  for _, f in ipairs(S.folders.order) do
    if f.parent == folder.id then out[#out + 1] = f end
  end
  return out
end

local function render(S, folder)
  local nodes = {}
  for i, child in ipairs(children(S, folder)) do nodes[i] = render(S, child) end
  return { id = folder.id, parentFolderId = folder.parent, name = folder.name, userId = 1001, childLists = json.array(lists_in(S, folder)),
    childNodes = json.array(nodes), createdAt = U.iso(folder.created), updatedAt = U.iso(folder.updated) }
end

local function changeable(S, id)
  local folder = H.of(S, id)
  if id == ROOT then E.bad_request("The root folder cannot be changed") end
  return folder
end

local function named(name)
  if type(name) ~= "string" or name == "" then E.bad_request("Some required fields were not set: [name]") end
  return name
end

local function create(S, req)
  local body = S:json(req)
  local F, now = S.folders, S.host.now()
  local parent = H.of(S, U.absent(body.parentFolderId) and ROOT or tostring(body.parentFolderId))
  local folder = { id = tostring(F.next_id), name = named(body.name), parent = parent.id, created = now, updated = now }
  F.next_id = F.next_id + 1
  F.by_id[folder.id] = folder
  F.order[#F.order + 1] = folder
  return 200, { folder = render(S, folder) }
end

local function move(S, folder, parent)
  local above = parent
  while above.id ~= ROOT do
    if above == folder then E.bad_request("Folder " .. folder.id .. " cannot be moved into itself or what is in it") end
    above = H.of(S, above.parent)
  end
  folder.parent, folder.updated = parent.id, S.host.now()
  return 200, { folder = render(S, folder) }
end

local function remove(S, folder)
  if #lists_in(S, folder) > 0 or #children(S, folder) > 0 then
    E.bad_request("Folder " .. folder.id .. " is not empty", { subCategory = "ILS.FOLDER_NOT_EMPTY" })
  end
  S.folders.by_id[folder.id] = nil
  for i, f in ipairs(S.folders.order) do
    if f == folder then table.remove(S.folders.order, i) break end
  end
  return 204
end

local function move_list(S, req)
  local body = S:json(req)
  if U.absent(body.listId) or U.absent(body.newFolderId) then E.bad_request("Some required fields were not set: [listId, newFolderId]") end
  local folder = H.of(S, tostring(body.newFolderId))
  local l = S.lists.by_id[tostring(body.listId)]
  if not l or l.deleted then
    E.not_found("List " .. tostring(body.listId) .. " does not exist", { subCategory = "ILS.LIST_NOT_FOUND" })
  end
  l.folder = folder.id
  return 204
end

---`seg` is the path after `folders`.
function H.route(S, req, seg)
  local method, id, what = req.method, seg[1], seg[2]
  if not id then
    if method == "POST" then return create(S, req) end
    if method == "GET" then return 200, { folder = render(S, H.of(S, U.one(req:args(), "folderId") or ROOT)) } end
  elseif method == "PUT" and id == "move-list" and not what then
    return move_list(S, req)
  elseif method == "DELETE" and not what then
    return remove(S, changeable(S, id))
  elseif method == "PUT" and what == "rename" and not seg[3] then
    local folder = changeable(S, id)
    folder.name, folder.updated = named(U.one(req:args(), "newFolderName")), S.host.now()
    return 200, { folder = render(S, folder) }
  elseif method == "PUT" and what == "move" and seg[3] and not seg[4] then
    return move(S, changeable(S, id), H.of(S, seg[3]))
  end
end

return H
