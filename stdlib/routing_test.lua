local rotation = require "routing.rotation"

local function members_of(weights)
  local list = {}
  for i, weight in ipairs(weights) do list[i] = { key = "o" .. i, weight = weight } end
  return list
end

-- Picks n times from a state that it changes; counts by key.
local function pick_many(members, current, n, order)
  local count = {}
  for _ = 1, n do
    local index, delta = rotation.pick(members, function(key) return current[key] or 0 end)
    rotation.add(current, delta, 1)
    local key = members[index].key
    count[key] = (count[key] or 0) + 1
    if order then order[#order + 1] = key end
  end
  return count
end

describe("the rotation", function()
  it("is smooth: no owner gets its turns in a burst", function()
    local order = {}
    pick_many(members_of { 5, 1, 1 }, {}, 7, order)
    expect(table.concat(order, " ")).to.equal("o1 o1 o2 o1 o3 o1 o1")
  end)

  it("keeps every share within one turn of its weight, whatever the weights", function()
    for _ = 1, 40 do
      local weights, total = {}, 0
      for i = 1, math.random(2, 12) do
        weights[i] = math.random(1, 9)
        total = total + weights[i]
      end
      local members, current, count = members_of(weights), {}, {}
      for n = 1, 300 do
        for key, k in pairs(pick_many(members, current, 1)) do count[key] = (count[key] or 0) + k end
        for i, weight in ipairs(weights) do
          local off = math.abs((count["o" .. i] or 0) - n * weight / total)
          if off > 1 + 1e-9 then
            error(("weights %s: after %d picks o%d is off by %.2f"):format(table.concat(weights, ","), n, i, off))
          end
        end
      end
      local sum = 0
      for _, value in pairs(current) do sum = sum + value end
      expect(sum).to.equal(0)
    end
  end)

  it("forgets a pick that is taken back, in any order", function()
    local members, current, deltas = members_of { 3, 2, 1 }, {}, {}
    for i = 1, 50 do
      local _, delta = rotation.pick(members, function(key) return current[key] or 0 end)
      rotation.add(current, delta, 1)
      deltas[i] = delta
    end
    while #deltas > 0 do
      rotation.add(current, table.remove(deltas, math.random(#deltas)), -1)
    end
    expect(next(current)).to.be_nil()
  end)

  it("goes on fairly when members come and go", function()
    local current = {}
    pick_many(members_of { 5, 3, 2 }, current, 7)
    local stored = { current = current, counts = { o1 = { period = "2026-09-01", n = 4 } } }
    local now = { { key = "o2", weight = 1 }, { key = "o3", weight = 1 }, { key = "new", weight = 2 } }
    local state = rotation.fit(stored, now)
    expect(state.current.o1).to.be_nil()
    expect(state.counts.o1).to.be_nil()
    local count = pick_many(now, state.current, 400)
    expect(math.abs(count.new - 200)).to.be_at_most(5)
    expect(math.abs(count.o2 - 100)).to.be_at_most(5)
  end)

  it("counts in the newest period only", function()
    local counts = {}
    rotation.count(counts, "o1", "2026-09-01")
    rotation.count(counts, "o1", "2026-09-01")
    expect(counts.o1.n).to.equal(2)
    rotation.count(counts, "o1", "2026-09-02")
    rotation.count(counts, "o1", "2026-09-01")   -- a handler that began before midnight
    expect(counts.o1.period).to.equal("2026-09-02")
    expect(counts.o1.n).to.equal(1)
  end)
end)

describe("declaring", function()
  local routing = require "routing"

  it("says what is wrong with a pool", function()
    local function with(member)
      return function() routing.pool("bad", { members = { member } }) end
    end
    expect(with { owner = "nobody" }).to.raise("e%-mail or id")
    expect(with { owner = "a@b.de", wieght = 1 }).to.raise("no field wieght")
    expect(with { owner = "a@b.de", weight = 0 }).to.raise("whole number")
    expect(with { owner = "a@b.de", cap = 20 }).to.raise("cap must look like")
    expect(with { owner = "a@b.de", cap = { per = "year", count = 2 } }).to.raise("cap must look like")
    expect(function() routing.pool("bad", {}) end).to.raise("needs members")
    expect(function() routing.pool("bad", { members = { { owner = "a@b.de" }, { owner = "A@b.de" } } }) end)
        .to.raise("lists a@b.de twice")
    expect(function() routing.pool("bad", { tz = "Mars/Base", members = { { owner = "a@b.de" } } }) end).to.raise("Mars")
  end)

  it("refuses a second pool of the same name", function()
    routing.pool("one", { members = { { owner = "a@b.de" } } })
    expect(function() routing.pool("one", { members = { { owner = "a@b.de" } } }) end).to.raise("declared twice")
  end)

  it("says what a company match needs", function()
    local ok, said = pcall(function() routing.match_account(true) end)
    expect(ok).to.equal(false)
    expect(said).to.match("^routing_test.lua:%d+: routing.match_account needs a record")
  end)

  it("says what is wrong with a territory", function()
    local pool = routing.pool("two", { members = { { owner = "a@b.de" } } })
    expect(function() routing.territory {} end).to.raise("needs default")
    expect(function() routing.territory { { countries = { "Mars" }, pool = pool }, default = pool } end)
        .to.raise("Mars.* is no country")
    expect(function()
      routing.territory {
        { countries = { "DE" }, pool = pool }, { countries = { "Germany" }, pool = pool }, default = pool,
      }
    end).to.raise("DE is already")
  end)
end)

describe("one load for many", function()
  local single = require "routing.single"

  it("runs once for all who come meanwhile", function()
    local runs = 0
    local load, running = single(function()
      runs = runs + 1
      task.sleep(1)
    end)
    local began, ended = time.now(), {}
    local list = {}
    for i = 1, 20 do
      list[i] = function()
        load()
        ended[i] = time.now() - began
      end
    end
    task.all(list)
    expect(runs).to.equal(1)
    for i = 1, 20 do expect(ended[i]).to.equal(1000) end
    expect(running()).to.be_false()
    load()
    expect(runs).to.equal(2)
  end)

  it("shares an error with all who wait, and tries again for the next", function()
    local runs = 0
    local load = single(function()
      runs = runs + 1
      task.sleep(1)
      if runs == 1 then error("away", 0) end
    end)
    local failed = 0
    task.map({ 1, 2, 3 }, function()
      local ok, err = pcall(load)
      if not ok and err == "away" then failed = failed + 1 end
    end)
    expect(failed).to.equal(3)
    expect(runs).to.equal(1)
    load()
    expect(runs).to.equal(2)
  end)

  it("goes on with a waiter when the one who loads is cancelled", function()
    local runs, loaded = 0, 0
    local load = single(function()
      runs = runs + 1
      task.sleep(5)
      loaded = loaded + 1
    end)
    local first = task.spawn(load)
    task.sleep(1)
    local others = { task.spawn(load), task.spawn(load) }
    task.sleep(1)
    first:cancel()
    for _, other in ipairs(others) do other:wait() end
    expect(runs).to.equal(2)
    expect(loaded).to.equal(1)
  end)
end)

describe("assign in a handler", function()
  local routing = require "routing"

  it("is a step: an attempt after it has the same pick, and the pick counts once", function()
    sim.start { owners = 2 }
    local emails = {}
    for i, owner in ipairs(sim.control("owners").results) do emails[i] = owner.email end
    local pool = routing.pool("kept", {
      members = {
        { owner = emails[1], cap = { per = "day", count = 9 } },
        { owner = emails[2], cap = { per = "day", count = 9 } },
      },
    })
    local picks = {}
    on("lead", { retries = 3 }, function()
      local first = pool:assign { id = "1" }
      local second = pool:assign { id = "1" }   -- the same lead again is another pick
      picks[#picks + 1] = first.owner_email .. " " .. second.owner_email
      if #picks < 3 then error("not yet") end
    end)
    emit("lead", {})
    sim.advance("1h")
    expect(#picks).to.equal(3)
    expect(picks[2]).to.equal(picks[1])
    expect(picks[3]).to.equal(picks[1])
    local counted = {}
    for i, m in ipairs(pool:standing()) do counted[i] = m.counted end
    expect(counted).to.equal { 1, 1 }
    expect(#sim.audit("routing")).to.equal(2)
  end)
end)
