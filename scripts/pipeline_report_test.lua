-- pipeline_report.lua against the simulator, which begins on Tuesday, 2026-09-01, 08:00 UTC: the first report is due on
-- Monday the 7th at 07:00 in Berlin, of the week of August 31st.
local hubspot = require "hubspot"

local PAGE = "reports/pipeline-2026-08-31.html"
local owners

before_each(function()
  sim.start { owners = 12 }
  owners = {}
  for _, owner in ipairs(sim.control("owners").results) do owners[owner.email] = owner end
  sim.load("pipeline_report.lua", { fs = { "reports" } })
end)

local function deal(stage, amount, fields)
  fields = fields or {}
  fields.dealname, fields.dealstage, fields.pipeline = fields.dealname or "Deal", stage, fields.pipeline or "default"
  fields.amount = amount
  return sim.create("deals", fields)
end

local function some_deals()
  local owner = owners["anna.weber@example.com"]
  deal("appointmentscheduled", 1000, { hubspot_owner_id = owner.id })
  deal("appointmentscheduled", 3000, { hubspot_owner_id = owner.id })
  deal("contractsent", 500.5)
  deal("closedwon", 700, { closedate = "2026-09-02T10:00:00Z" })
  deal("closedwon", 90, { closedate = "2026-08-20T10:00:00Z" })
  deal("closedlost", 5, { closedate = "2026-09-06T21:59:59Z" })
  deal("closedlost", 6, { closedate = "2026-09-06T22:00:00Z" })      -- Monday in Berlin
end

local function tasks()
  local list = {}
  for task_record in hubspot.tasks.list { properties = { "hs_task_subject", "hs_task_body", "hubspot_owner_id" } } do
    list[#list + 1] = task_record
  end
  return list
end

-- What a timer cannot do, at last, is told.
local function expect_well()
  expect(sim.events().dead).to.equal(0)
  expect(sim.log()).to_not.contain("alert:")
end

local function subjects()
  local list = {}
  for i, one in ipairs(tasks()) do list[i] = one.hs_task_subject end
  return list
end

describe("pipeline report", function()
  it("tells what is open, came, was won and lost, in a page, a file and a task", function()
    some_deals()
    sim.advance("6d")
    local rows = {}
    for row in csv.rows("reports/pipeline-2026-08-31.csv") do rows[#rows + 1] = row end
    expect(rows[1]).to.equal { Stage = "Appointment Scheduled", Deals = "2", Amount = "4000", Weighted = "800", Median = "2000" }
    expect(rows[2].Deals).to.equal("0")
    expect(rows[5]).to.equal { Stage = "Contract Sent", Deals = "1", Amount = "500.5", Weighted = "450.45", Median = "500.5" }
    expect(#rows).to.equal(5)
    local page = fs.read(PAGE)
    expect(page).to.contain('<td>Anna Weber</td><td class="n">2</td><td class="n">4,000</td>')
    expect(page).to.contain('<td>Won</td><td class="n">1</td><td class="n">700</td>')
    expect(page).to.contain('<td>Lost</td><td class="n">1</td><td class="n">5</td>')
    expect(page).to.contain('<td>2026-09-01</td><td class="n">7</td>')
    local list = tasks()
    expect(#list).to.equal(1)
    expect(list[1].hs_task_subject).to.equal("Pipeline, week of 2026-08-31")
    expect(list[1].hs_task_body).to.contain("3 open deals with EUR 4500; last week 7 new, 1 won with EUR 700, 1 lost.")
    expect(list[1].hubspot_owner_id).to.equal(owners["desk@example.com"] and owners["desk@example.com"].id)
  end)

  it("reports what is missing or strange as it is", function()
    sim.create("deals", { dealname = "<script>alert(1)</script>", dealstage = "appointmentscheduled", pipeline = "default" })
    deal("qualifiedtobuy", 12)
    deal("closedwon", 3)                                                -- when is not known
    sim.control("create_pipeline", { type = "deals", pipelineId = "partners", label = "Partners",
      stages = { { label = "Open", stageId = "p1", metadata = { probability = "0.1" } } } })
    deal("p1", 1000, { pipeline = "partners" })
    sim.control("owner", { email = "desk@example.com", archived = true })
    sim.advance("6d")
    local page = fs.read(PAGE)
    expect(page).to.contain('<td>Appointment Scheduled</td><td class="n">1</td><td class="n">0</td><td class="n">0</td>')
    expect(page).to.contain('<td>(none)</td><td class="n">2</td><td class="n">12</td>')
    expect(page).to.contain('<td>Won</td><td class="n">0</td>')
    expect(page).to_not.contain("<script")
    expect(tasks()[1].hs_task_body).to.contain("2 open deals with EUR 12;")
    expect(tasks()[1].hubspot_owner_id).to.be_nil()
  end)

  it("makes no second task when an answer is lost, and says so when nobody knows", function()
    sim.fail { method = "POST", path = "/tasks", drop = "after" }
    sim.advance("6d")
    expect(#tasks()).to.equal(1)
    expect_well()
    sim.fail { method = "POST", path = "/tasks", drop = "before" }
    sim.advance("7d")
    expect(#tasks()).to.equal(1)
    expect(sim.log()).to.contain("alert: uncertain_step")
  end)

  it("makes its report of nothing", function()
    sim.advance("6d")
    expect(fs.read(PAGE)).to.contain("<h1>Pipeline, week of 2026-08-31</h1>")
    expect(tasks()[1].hs_task_body).to.contain("0 open deals with EUR 0; last week 0 new, 0 won with EUR 0, 0 lost.")
  end)

  it("gets through a storm of 429s", function()
    some_deals()
    sim.advance("5d")
    sim.fail { status = 429, times = 40 }
    sim.fail { status = 429, path = "/tasks", times = 20 }
    sim.advance("1d")
    expect(fs.read(PAGE)).to.contain("4,500.50")
    expect(#tasks()).to.equal(1)
    expect(sim.control("stats").limited).to.equal(60)
    expect_well()
  end)

  it("is the same after it was cut off, with one task", function()
    some_deals()
    sim.advance("5d")
    sim.fail { status = 500, path = "/tasks", method = "POST", times = 6 }
    sim.advance("21h")
    sim.advance("5s")                                                        -- Monday, 05:00:05 UTC: some runs have failed
    local first = fs.read(PAGE)
    expect(first).to.contain("4,500.50")
    expect(#tasks()).to.equal(0)
    fs.write(PAGE, "cut off")
    deal("contractsent", 100000)
    sim.advance("1d")
    expect(fs.read(PAGE)).to.equal(first)
    local list = tasks()
    expect(#list).to.equal(1)
    expect(list[1].hs_task_body).to.contain("3 open deals with EUR 4500;")
    expect_well()
  end)

  it("comes once a week, each with its own days", function()
    for day = 1, 21 do
      deal("appointmentscheduled", day)
      if day % 5 == 0 then sim.fail { status = 502, times = 4 } end
      sim.advance("1d")
    end
    expect(subjects()).to.equal { "Pipeline, week of 2026-08-31", "Pipeline, week of 2026-09-07", "Pipeline, week of 2026-09-14" }
    expect(fs.read("reports/pipeline-2026-09-14.html")).to.contain('<td>Total</td><td class="n">7</td>')
    expect_well()
  end)

  it("is made once when a crash has cut off its reading or its task", function()
    some_deals()
    sim.advance("5d")
    for _, at in ipairs { { method = "GET", path = "/objects/2026-09/deals" }, { method = "POST", path = "/tasks" } } do
      local written = sim.writes()
      sim.crash(at)
      sim.advance("22h")
      expect(sim.writes()).to.equal(written + (at.method == "POST" and 1 or 0))
      sim.restart()
      sim.advance("2h")
      sim.advance("6d")
      expect_well()
    end
    expect(fs.read(PAGE)).to.contain("4,500.50")
    expect(subjects()).to.equal { "Pipeline, week of 2026-08-31", "Pipeline, week of 2026-09-07" }
    expect(sim.writes "/tasks").to.equal(2)
  end)
end)
