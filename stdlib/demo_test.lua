local demo = require "demo"

describe("the demo's charts", function()
  it("draws bars in eighths of a column and reports the columns used", function()
    local function bar(share, width)
      local text, used = demo.bar(share, width)
      return text .. "|" .. used
    end
    expect(bar(0, 10)).to.equal("|0")
    expect(bar(1, 4)).to.equal("████|4")
    expect(bar(0.5, 3)).to.equal("█▌|2")
    expect(bar(7, 2)).to.equal("██|2")
  end)

  it("groups digits", function()
    expect(demo.number(0)).to.equal("0")
    expect(demo.number(999)).to.equal("999")
    expect(demo.number(1000)).to.equal("1,000")
    expect(demo.number(1234567)).to.equal("1,234,567")
    expect(demo.number(-123456)).to.equal("-123,456")
  end)

  it("fits the terminal, whatever the names and numbers", function()
    for _, columns in ipairs { 40, 60, 80, 120 } do
      for _ = 1, 30 do
        local rows = {}
        for i = 1, math.random(1, 14) do
          rows[i] = { ("é"):rep(math.random(1, 70)), math.random(0, 10 ^ math.random(1, 7)) }
        end
        for _, line in ipairs(demo.chart(rows, columns)) do
          expect(utf8.len(line)).to.be_at_most(columns)
        end
      end
    end
  end)

  it("draws the longest bar for the largest number", function()
    local lines = demo.chart({ { "ana", 20 }, { "bo", 10 }, { "cy", 0 } }, 60)
    local function blocks(line) return select(2, line:gsub("█", "")) end
    expect(blocks(lines[1]) >= 2 * blocks(lines[2]) - 1).to.be_true()
    expect(blocks(lines[1]) > 0).to.be_true()
    expect(blocks(lines[3])).to.equal(0)
    expect(lines[1]).to.contain("67%")
  end)
end)

describe("the demo's checks", function()
  -- A run in which all is well; `change` spoils one thing. Returns the problems.
  local function problems_of(change)
    local function state()
      return {
        engine = { acknowledged = 104, ran = 100, duplicate = 4, pending = 0, filtered = 0, waiting = 0, dead = 0,
          unhandled = 0, orphaned = 0, own = 0, debounced = 0 },
        webhook = { forged = 6, malformed = 3, accepted = 5 }, api = { main = { limited = 0, requests = 9, calls = 209 } },
      }
    end
    local first = state()
    first.webhook.forged, first.webhook.malformed = 2, 1
    local list = {}
    local run = {
      contacts = 100, routed = 100, unrouted = 0, bad = { forged = 4, malformed = 2 },
      problem = function(format, ...) list[#list + 1] = format:format(...) end,
    }
    local now = state()
    local stats = { limited = 0, webhooks = { pending = 0, redelivered = 0, duplicated = 4 } }
    change(run, now, stats)
    demo.check(run, first, now, stats)
    return list
  end

  it("find nothing when all is well", function()
    expect(problems_of(function() end)).to.equal({})
  end)

  it("find each thing that can be wrong", function()
    local function found(text, change)
      local list = problems_of(change)
      expect(list).to.have_length(1)
      expect(list[1]).to.contain(text)
    end
    found("2 contacts have no owner", function(run) run.routed, run.unrouted = 98, 2 end)
    found("were to be created", function(run) run.routed = 99 end)
    found("5 forged requests were sent, 4 refused", function(run) run.bad.forged = 5 end)
    found("malformed requests were sent", function(run) run.bad.malformed = 3 end)
    found("their states add up to 103", function(_, now) now.engine.ran = 99 end)
    found("still pending", function(_, now) now.engine.ran, now.engine.pending = 99, 1 end)
    found("dead letters", function(_, now) now.engine.ran, now.engine.dead = 99, 1 end)
    found("limit was exceeded", function(_, now, stats) now.api.main.limited, stats.limited = 1, 1 end)
    found("sent 1 answers of 429", function(_, _, stats) stats.limited = 1 end)
    found("were sent twice", function(_, _, stats) stats.webhooks.duplicated = 5 end)
    found("not delivered yet", function(_, _, stats) stats.webhooks.pending = 1 end)
  end)
end)
