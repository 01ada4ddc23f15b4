--- Percentiles of numbers that are not kept: exact up to 1,000 of them; beyond, they are counted in classes so narrow that
--- the answer is within 0.5 % of the value (DDSketch: Masson, Rim and Lee, 2019).
local quantile = {}
quantile.__index = quantile

local EXACT_MAX = 1000
local GAMMA = (1 + 0.005) / (1 - 0.005)
local LOG_GAMMA = math.log(GAMMA)
local TINY = 1e-12           -- and nearer to 0: 0

function quantile.new() return setmetatable({ n = 0, values = {} }, quantile) end

local function class_of(x) return math.ceil(math.log(x) / LOG_GAMMA) end

local function count(self, x)
  if x > TINY then
    local c = class_of(x)
    self.above[c] = (self.above[c] or 0) + 1
  elseif x < -TINY then
    local c = class_of(-x)
    self.below[c] = (self.below[c] or 0) + 1
  else
    self.zeros = self.zeros + 1
  end
  if x < self.least then self.least = x end
  if x > self.most then self.most = x end
end

function quantile:add(x)
  self.n = self.n + 1
  if self.values then
    self.values[self.n] = x
    if self.n <= EXACT_MAX then return end
    local values = self.values
    self.values, self.above, self.below, self.zeros = nil, {}, {}, 0
    self.least, self.most = math.huge, -math.huge
    for _, value in ipairs(values) do count(self, value) end
  else
    count(self, x)
  end
end

-- The value at the rank, counted from 0.
local function at_rank(self, rank)
  local classes = {}
  for c, n in pairs(self.below) do classes[#classes + 1] = { -2 * GAMMA ^ c / (GAMMA + 1), n } end
  for c, n in pairs(self.above) do classes[#classes + 1] = { 2 * GAMMA ^ c / (GAMMA + 1), n } end
  if self.zeros > 0 then classes[#classes + 1] = { 0, self.zeros } end
  table.sort(classes, function(a, b) return a[1] < b[1] end)
  local seen = 0
  for _, class in ipairs(classes) do
    seen = seen + class[2]
    if seen > rank then return math.max(self.least, math.min(self.most, class[1])) end
  end
  return self.most
end

---@param q number # 0 to 1
---@return number|nil # nil: there are no values
function quantile:value(q)
  if self.n == 0 then return nil end
  local rank = q * (self.n - 1)
  if not self.values then
    if q == 0 then return self.least elseif q == 1 then return self.most end
    return at_rank(self, math.floor(rank + 0.5))
  end
  local sorted = table.move(self.values, 1, self.n, 1, {})
  table.sort(sorted)
  local low = math.floor(rank)
  local a, b = sorted[low + 1], sorted[math.min(low + 2, self.n)]
  return a * (1 - rank + low) + b * (rank - low)
end

return quantile
