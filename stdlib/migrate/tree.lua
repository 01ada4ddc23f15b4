--- The files that `hubloop migrate` reads: what is named, and what lies below it, without holding the tree.
local _, host = ...

local tree = {}

local MIB <const> = 1 << 20
tree.most = 4 * MIB        -- of a file in a tree
tree.most_named = 64 * MIB -- of one that is named

-- Folders that hold no code of one's own, and files that hold none at all.
local FOLDERS <const> = { [".git"] = true, [".hg"] = true, [".svn"] = true, node_modules = true, bower_components = true, vendor = true,
  __pycache__ = true,
  [".venv"] = true, venv = true, [".tox"] = true, ["site-packages"] = true, [".terraform"] = true, [".next"] = true, [".gradle"] = true }
local NOT_CODE <const> = {}
for extension in ([[png jpg jpeg gif webp ico bmp tif tiff svg pdf zip gz tgz bz2 xz 7z rar jar war class o a so dll exe dylib bin wasm
  woff woff2 ttf otf eot mp3 mp4 mov avi webm wav ogg pyc pyo db sqlite sqlite3 parquet map orig hubloopnew]]):gmatch("%S+") do
  NOT_CODE[extension] = true
end
local LOCKS <const> = { ["package-lock.json"] = true, ["yarn.lock"] = true, ["pnpm-lock.yaml"] = true, ["composer.lock"] = true,
  ["poetry.lock"] = true,
  ["Gemfile.lock"] = true, ["Cargo.lock"] = true, ["go.sum"] = true }

---@class migrate.walk
---@field files integer read so far
---@field large { file: string, why: string }[] left out

---@param named string[]
---@return table walk
function tree.begin(named)
  local walk = { stack = {}, large = {}, failed = {}, real = {} }
  local top = { entries = {}, at = 0 }
  for i, path in ipairs(named) do
    local kind, full, size = host.kind(path)
    if not kind then error(("cannot read %s: %s; name files or folders"):format(path, full), 0) end
    if kind == "other" then error(("%s is no file and no folder"):format(path), 0) end
    top.entries[i] = { name = path, kind = kind, size = size, full = full, named = true }
  end
  walk.stack[1] = top
  return walk
end

---The next file: its name as people know it, its path, whether it was named itself. nil at the end.
---@param walk table
---@return { name: string, path: string, named: boolean }|nil
function tree.next(walk)
  while true do
    local level = walk.stack[#walk.stack]
    if not level then return nil end
    level.at = level.at + 1
    local entry = level.entries[level.at]
    if not entry then
      table.remove(walk.stack)
    else
      level.entries[level.at] = false
      local name = level.name and (level.name == "." and entry.name or level.name:gsub("/+$", "") .. "/" .. entry.name) or entry.name
      local path = entry.full or level.path .. "/" .. entry.name
      if entry.kind == "folder" and (entry.named or not FOLDERS[entry.name]) then
        local entries, why = host.folder(path)
        if entries then
          table.sort(entries, function(a, b) return a.name < b.name end)
          table.insert(walk.stack, { entries = entries, at = 0, name = name, path = path })
        else
          table.insert(walk.failed, { file = name, why = why })
        end
      elseif entry.kind == "file" then
        local extension = entry.name:match("%.([%w]+)$")
        if entry.named then return { name = name, path = path, named = true } end
        if not (extension and NOT_CODE[extension:lower()]) and not LOCKS[entry.name] then
          if entry.size <= tree.most then return { name = name, path = path, named = false } end
          table.insert(walk.large, { file = name, why = ("larger than %d MiB; name it to have it read"):format(tree.most // MIB) })
        end
      end
      -- Links are not followed: what they lead to is in the tree itself, or is not meant.
    end
  end
end

---How much of the tree is behind, from 0 to 1: each folder's entries count the same.
---@param walk table
---@return number
function tree.done(walk)
  local share, sum = 1, 0
  for i, level in ipairs(walk.stack) do
    local n = math.max(1, #level.entries)
    local behind = level.at - (i < #walk.stack and 1 or 0)
    sum = sum + share * math.max(0, behind) / n
    share = share / n
  end
  return #walk.stack == 0 and 1 or math.min(sum, 0.999)
end

return tree
