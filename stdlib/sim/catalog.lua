-- The object types that HubSpot defines: their ids, their properties (the ones that scripts meet; a real account has
-- hundreds), and what they can be associated with. Data only; shared by all simulators of a state.

-- type id, plural, singular, first record id
local types = {
  { "0-1", "contacts", "contact", 100001 },
  { "0-2", "companies", "company", 9100000001 },
  { "0-3", "deals", "deal", 15200000001 },
  { "0-5", "tickets", "ticket", 2300000001 },
  { "0-7", "products", "product", 1700001 },
  { "0-8", "line_items", "line_item", 6600001 },
  { "0-27", "tasks", "task", 48000001 },
  { "0-46", "notes", "note", 47000001 },
  { "0-47", "meetings", "meeting", 46000001 },
  { "0-48", "calls", "call", 45000001 },
  { "0-49", "emails", "email", 44000001 },
  { "0-136", "leads", "lead", 43000001 },
  { "0-14", "quotes", "quote", 31000001 },
  { "0-18", "communications", "communication", 32000001 },
  { "0-19", "feedback_submissions", "feedback_submission", 33000001 },
  { "0-53", "invoices", "invoice", 34000001 },
  { "0-69", "subscriptions", "subscription", 35000001 },
  { "0-74", "goal_targets", "goal_target", 36000001 },
  { "0-84", "discounts", "discount", 37000001 },
  { "0-85", "fees", "fee", 37100001 },
  { "0-86", "taxes", "tax", 37200001 },
  { "0-101", "commerce_payments", "commerce_payment", 38000001 },
  { "0-115", "users", "user", 39000001 },
  { "0-116", "postal_mail", "postal_mail", 40000001 },
  { "0-123", "orders", "order", 41000001 },
  { "0-142", "carts", "cart", 42000001 },
  { "0-162", "services", "service", 50000001 },
  { "0-410", "courses", "course", 51000001 },
  { "0-420", "listings", "listing", 52000001 },
  { "0-421", "appointments", "appointment", 53000001 },
  { "0-970", "projects", "project", 54000001 },
}

-- name | type | fieldType | label | flags or options.
-- Flags: r value is read-only, c calculated (formulas.lua), u unique. Options: "value=Label;value=Label", or @list below.
local lists = {
  lifecycle = "subscriber=Subscriber;lead=Lead;marketingqualifiedlead=Marketing Qualified Lead;" ..
    "salesqualifiedlead=Sales Qualified Lead;opportunity=Opportunity;customer=Customer;evangelist=Evangelist;other=Other",
  lead_status = "NEW=New;OPEN=Open;IN_PROGRESS=In Progress;OPEN_DEAL=Open Deal;UNQUALIFIED=Unqualified;" ..
    "ATTEMPTED_TO_CONTACT=Attempted to Contact;CONNECTED=Connected;BAD_TIMING=Bad Timing",
  source = "ORGANIC_SEARCH=Organic Search;PAID_SEARCH=Paid Search;EMAIL_MARKETING=Email Marketing;SOCIAL_MEDIA=Organic Social;" ..
    "REFERRALS=Referrals;OTHER_CAMPAIGNS=Other Campaigns;DIRECT_TRAFFIC=Direct Traffic;OFFLINE=Offline Sources;" ..
    "PAID_SOCIAL=Paid Social",
  industry = "COMPUTER_SOFTWARE=Computer Software;INFORMATION_TECHNOLOGY_AND_SERVICES=Information Technology and Services;" ..
    "FINANCIAL_SERVICES=Financial Services;HOSPITAL_HEALTH_CARE=Hospital & Health Care;RETAIL=Retail;" ..
    "CONSTRUCTION=Construction;MACHINERY=Machinery;MARKETING_AND_ADVERTISING=Marketing and Advertising;" ..
    "EDUCATION_MANAGEMENT=Education Management;LOGISTICS_AND_SUPPLY_CHAIN=Logistics and Supply Chain;" ..
    "FOOD_BEVERAGES=Food & Beverages;AUTOMOTIVE=Automotive",
  company_type = "PROSPECT=Prospect;PARTNER=Partner;RESELLER=Reseller;VENDOR=Vendor;OTHER=Other",
  deal_type = "newbusiness=New Business;existingbusiness=Existing Business",
  priority = "LOW=Low;MEDIUM=Medium;HIGH=High;URGENT=Urgent",
  priority3 = "low=Low;medium=Medium;high=High",
  ticket_category = "PRODUCT_ISSUE=Product Issue;BILLING_ISSUE=Billing Issue;FEATURE_REQUEST=Feature Request;" ..
    "GENERAL_INQUIRY=General Inquiry",
  task_status = "NOT_STARTED=Not started;IN_PROGRESS=In progress;WAITING=Waiting;COMPLETED=Completed;DEFERRED=Deferred",
  task_type = "EMAIL=Email;CALL=Call;TODO=To-do",
  call_status = "BUSY=Busy;CALLING_CRM_USER=Calling;CANCELED=Canceled;COMPLETED=Completed;FAILED=Failed;NO_ANSWER=No answer;" ..
    "QUEUED=Queued;RINGING=Ringing",
  direction = "EMAIL=Email;INCOMING_EMAIL=Incoming email;FORWARDED_EMAIL=Forwarded email",
  meeting_outcome = "SCHEDULED=Scheduled;COMPLETED=Completed;RESCHEDULED=Rescheduled;NO_SHOW=No show;CANCELED=Canceled",
  lead_label = "HOT=Hot;WARM=Warm;COLD=Cold",
  channel = "SMS=SMS;WHATS_APP=WhatsApp;LINKEDIN_MESSAGE=LinkedIn message",
  quote_status = "DRAFT=Draft;APPROVAL_NOT_NEEDED=Approval not needed;PENDING_APPROVAL=Pending approval;" ..
    "APPROVED=Approved;REJECTED=Rejected",
  invoice_status = "draft=Draft;open=Open;paid=Paid;voided=Voided",
  kind_of_value = "PERCENT=Percent;FIXED=Fixed amount",
  availability = "available=Available;away=Away",
  lead_type = "NEW_BUSINESS=New business;RE_ATTEMPT=Re-attempt;UPSELL=Upsell",
}

local common = [[
hs_object_id|number|number|Record ID|r
hubspot_owner_id|enumeration|select|Owner|o
hubspot_owner_assigneddate|datetime|date|Owner assigned date|r
hs_object_source|string|text|Record source|r
hs_object_source_id|string|text|Record source ID|r
hs_merged_object_ids|string|text|Merged record IDs|r
hubspot_team_id|enumeration|select|Team|o
]]

local properties = {
  contacts = [[
email|string|text|Email|u
hs_additional_emails|string|text|Additional email addresses|r
hs_email_domain|string|text|Email Domain|r
firstname|string|text|First Name
lastname|string|text|Last Name
phone|string|phonenumber|Phone Number
mobilephone|string|phonenumber|Mobile Phone Number
company|string|text|Company Name
jobtitle|string|text|Job Title
website|string|text|Website URL
address|string|text|Street Address
city|string|text|City
state|string|text|State/Region
zip|string|text|Postal Code
country|string|text|Country/Region
hs_language|string|text|Preferred language
industry|string|text|Industry
numemployees|string|text|Number of Employees
annualrevenue|string|text|Annual Revenue
message|string|textarea|Message
notes_last_contacted|datetime|date|Last Contacted|r
num_notes|number|number|Number of Sales Activities|r
lifecyclestage|enumeration|radio|Lifecycle Stage|@lifecycle
hs_lead_status|enumeration|radio|Lead Status|@lead_status
hs_analytics_source|enumeration|select|Original Traffic Source|@source r
hs_email_optout|bool|booleancheckbox|Unsubscribed from all email|r
hs_marketable_status|enumeration|select|Marketing contact status|r
associatedcompanyid|number|number|Primary Associated Company ID|c
num_associated_deals|number|number|Number of Associated Deals|c
hubspotscore|number|number|HubSpot Score|r
date_of_birth|string|text|Date of birth
createdate|datetime|date|Create Date|r
lastmodifieddate|datetime|date|Last Modified Date|r
closedate|datetime|date|Close Date
]],
  companies = [[
name|string|text|Company name
domain|string|text|Company Domain Name
hs_additional_domains|string|text|Additional Domains
website|string|text|Website URL
phone|string|phonenumber|Phone Number
address|string|text|Street Address
city|string|text|City
state|string|text|State/Region
zip|string|text|Postal Code
country|string|text|Country/Region
description|string|textarea|Description
industry|enumeration|select|Industry|@industry
numberofemployees|number|number|Number of Employees
annualrevenue|number|number|Annual Revenue
type|enumeration|radio|Type|@company_type
lifecyclestage|enumeration|radio|Lifecycle Stage|@lifecycle
hs_lead_status|enumeration|radio|Lead Status|@lead_status
num_associated_contacts|number|number|Number of Associated Contacts|c
num_associated_deals|number|number|Number of Associated Deals|c
founded_year|string|text|Year Founded
hs_parent_company_id|number|number|Parent Company|r
createdate|datetime|date|Create Date|r
hs_lastmodifieddate|datetime|date|Last Modified Date|r
]],
  deals = [[
dealname|string|text|Deal Name
amount|number|number|Amount
dealstage|enumeration|radio|Deal Stage|p
pipeline|enumeration|select|Pipeline|p
closedate|datetime|date|Close Date
dealtype|enumeration|radio|Deal Type|@deal_type
description|string|textarea|Deal Description
hs_priority|enumeration|select|Priority|@priority3
deal_currency_code|string|text|Currency
hs_is_closed|bool|booleancheckbox|Is Deal Closed?|r
hs_is_closed_won|bool|booleancheckbox|Is Closed Won|r
hs_deal_stage_probability|number|number|Deal probability|r
closed_lost_reason|string|textarea|Closed Lost Reason
closed_won_reason|string|textarea|Closed Won Reason
hs_next_step|string|text|Next step
num_associated_contacts|number|number|Number of Associated Contacts|c
createdate|datetime|date|Create Date
hs_lastmodifieddate|datetime|date|Last Modified Date|r
]],
  tickets = [[
subject|string|text|Ticket name
content|string|textarea|Ticket description
hs_pipeline|enumeration|select|Pipeline|p
hs_pipeline_stage|enumeration|select|Ticket status|p
hs_ticket_priority|enumeration|select|Priority|@priority
hs_ticket_category|enumeration|select|Category|@ticket_category
source_type|string|text|Source
closed_date|datetime|date|Close date
createdate|datetime|date|Create date|r
hs_lastmodifieddate|datetime|date|Last modified date|r
]],
  leads = [[
hs_lead_name|string|text|Lead name
hs_lead_label|enumeration|select|Lead label|@lead_label
hs_lead_type|enumeration|select|Lead type|@lead_type
hs_pipeline|string|text|Pipeline
hs_pipeline_stage|string|text|Stage
hs_createdate|datetime|date|Create date|r
hs_lastmodifieddate|datetime|date|Last modified date|r
]],
  products = [[
name|string|text|Name
description|string|textarea|Description
price|number|number|Unit price
hs_sku|string|text|SKU
hs_cost_of_goods_sold|number|number|Unit cost
recurringbillingfrequency|string|text|Billing frequency
createdate|datetime|date|Create date|r
hs_lastmodifieddate|datetime|date|Last modified date|r
]],
  line_items = [[
name|string|text|Name
price|number|number|Unit price
quantity|number|number|Quantity
amount|number|number|Net price|r
hs_product_id|number|number|Product ID
hs_sku|string|text|SKU
discount|number|number|Unit discount
createdate|datetime|date|Create date|r
hs_lastmodifieddate|datetime|date|Last modified date|r
]],
  notes = [[
hs_note_body|string|html|Note body
hs_timestamp|datetime|date|Activity date
hs_createdate|datetime|date|Create date|r
hs_lastmodifieddate|datetime|date|Last modified date|r
]],
  tasks = [[
hs_task_subject|string|text|Task title
hs_task_body|string|html|Task notes
hs_task_status|enumeration|select|Task status|@task_status
hs_task_priority|enumeration|select|Priority|@priority
hs_task_type|enumeration|select|Task type|@task_type
hs_timestamp|datetime|date|Due date
hs_createdate|datetime|date|Create date|r
hs_lastmodifieddate|datetime|date|Last modified date|r
]],
  calls = [[
hs_call_title|string|text|Call title
hs_call_body|string|html|Call notes
hs_call_duration|number|number|Call duration
hs_call_status|enumeration|select|Call status|@call_status
hs_timestamp|datetime|date|Activity date
hs_createdate|datetime|date|Create date|r
hs_lastmodifieddate|datetime|date|Last modified date|r
]],
  emails = [[
hs_email_subject|string|text|Email subject
hs_email_text|string|textarea|Email body
hs_email_direction|enumeration|select|Email direction|@direction
hs_timestamp|datetime|date|Activity date
hs_createdate|datetime|date|Create date|r
hs_lastmodifieddate|datetime|date|Last modified date|r
]],
  meetings = [[
hs_meeting_title|string|text|Meeting name
hs_meeting_body|string|html|Meeting description
hs_meeting_start_time|datetime|date|Start time
hs_meeting_end_time|datetime|date|End time
hs_meeting_outcome|enumeration|select|Outcome|@meeting_outcome
hs_timestamp|datetime|date|Activity date
hs_createdate|datetime|date|Create date|r
hs_lastmodifieddate|datetime|date|Last modified date|r
]],
  communications = [[
hs_communication_channel_type|enumeration|select|Channel type|@channel
hs_communication_logged_from|string|text|Logged from
hs_communication_body|string|html|Message
hs_timestamp|datetime|date|Activity date
hs_createdate|datetime|date|Create date|r
hs_lastmodifieddate|datetime|date|Last modified date|r
]],
  postal_mail = [[
hs_postal_mail_body|string|html|Postal mail body
hs_timestamp|datetime|date|Activity date
hs_createdate|datetime|date|Create date|r
hs_lastmodifieddate|datetime|date|Last modified date|r
]],
  quotes = [[
hs_title|string|text|Quote title
hs_expiration_date|datetime|date|Expiration date
hs_status|enumeration|select|Approval status|@quote_status
hs_currency|string|text|Currency
hs_language|string|text|Language
hs_comments|string|textarea|Comments
hs_sender_firstname|string|text|Sender's first name
hs_sender_lastname|string|text|Sender's last name
hs_sender_email|string|text|Sender's e-mail
hs_quote_amount|number|number|Amount|r
hs_createdate|datetime|date|Create date|r
hs_lastmodifieddate|datetime|date|Last modified date|r
]],
  invoices = [[
hs_currency|string|text|Currency
hs_invoice_date|datetime|date|Invoice date
hs_due_date|datetime|date|Due date
hs_invoice_status|enumeration|select|Invoice status|@invoice_status
hs_purchase_order_number|string|text|PO number
hs_comments|string|textarea|Comments
hs_amount_billed|number|number|Amount billed|r
hs_balance_due|number|number|Balance due|r
hs_createdate|datetime|date|Create date|r
hs_lastmodifieddate|datetime|date|Last modified date|r
]],
  subscriptions = [[
hs_name|string|text|Name
hs_status|string|text|Status
hs_currency_code|string|text|Currency
hs_recurring_billing_start_date|date|date|Start of billing
hs_createdate|datetime|date|Create date|r
hs_lastmodifieddate|datetime|date|Last modified date|r
]],
  commerce_payments = [[
hs_initial_amount|number|number|Gross amount
hs_initiated_date|datetime|date|Payment date
hs_latest_status|string|text|Status
hs_currency_code|string|text|Currency
hs_customer_email|string|text|Customer's e-mail
hs_createdate|datetime|date|Create date|r
hs_lastmodifieddate|datetime|date|Last modified date|r
]],
  orders = [[
hs_order_name|string|text|Order name
hs_external_order_id|string|text|External order ID
hs_currency_code|string|text|Currency
hs_total_price|number|number|Total price
hs_fulfillment_status|string|text|Fulfillment status
hs_source_store|string|text|Source store
hs_shipping_address_street|string|text|Shipping street
hs_shipping_address_city|string|text|Shipping city
hs_pipeline|string|text|Pipeline
hs_pipeline_stage|string|text|Stage
hs_createdate|datetime|date|Create date|r
hs_lastmodifieddate|datetime|date|Last modified date|r
]],
  carts = [[
hs_cart_name|string|text|Cart name
hs_external_cart_id|string|text|External cart ID
hs_external_status|string|text|External status
hs_source_store|string|text|Source store
hs_currency_code|string|text|Currency
hs_total_price|number|number|Total price
hs_cart_discount|number|number|Cart discount
hs_tax|number|number|Tax
hs_tags|string|text|Tags
hs_createdate|datetime|date|Create date|r
hs_lastmodifieddate|datetime|date|Last modified date|r
]],
  discounts = [[
hs_label|string|text|Label
hs_type|enumeration|select|Type|@kind_of_value
hs_value|number|number|Value
hs_sort_order|number|number|Sort order
hs_createdate|datetime|date|Create date|r
hs_lastmodifieddate|datetime|date|Last modified date|r
]],
  fees = [[
hs_label|string|text|Label
hs_type|enumeration|select|Type|@kind_of_value
hs_value|number|number|Value
hs_createdate|datetime|date|Create date|r
hs_lastmodifieddate|datetime|date|Last modified date|r
]],
  taxes = [[
hs_label|string|text|Label
hs_type|enumeration|select|Type|@kind_of_value
hs_value|number|number|Value
hs_createdate|datetime|date|Create date|r
hs_lastmodifieddate|datetime|date|Last modified date|r
]],
  goal_targets = [[
hs_goal_name|string|text|Goal name
hs_target_amount|number|number|Target amount
hs_start_datetime|datetime|date|Start
hs_end_datetime|datetime|date|End
hs_created_by_user_id|number|number|Created by
hs_createdate|datetime|date|Create date|r
hs_lastmodifieddate|datetime|date|Last modified date|r
]],
  feedback_submissions = [[
hs_survey_name|string|text|Survey name
hs_survey_type|string|text|Survey type
hs_content|string|textarea|Response
hs_value|number|number|Rating
hs_submission_timestamp|datetime|date|Submitted
hs_createdate|datetime|date|Create date|r
hs_lastmodifieddate|datetime|date|Last modified date|r
]],
  users = [[
hs_email|string|text|E-mail
hs_given_name|string|text|First name
hs_family_name|string|text|Last name
hs_job_title|string|text|Job title
hs_availability_status|enumeration|select|Availability|@availability
hs_standard_time_zone|string|text|Time zone
hs_working_hours|string|text|Working hours
hs_out_of_office_hours|string|text|Out of office
hs_createdate|datetime|date|Create date|r
hs_lastmodifieddate|datetime|date|Last modified date|r
]],
  appointments = [[
hs_appointment_name|string|text|Appointment name
hs_appointment_start|datetime|date|Start
hs_appointment_end|datetime|date|End
hs_createdate|datetime|date|Create date|r
hs_lastmodifieddate|datetime|date|Last modified date|r
]],
  courses = [[
hs_course_name|string|text|Course name
hs_course_description|string|textarea|Description
hs_course_id|string|text|Course ID
hs_createdate|datetime|date|Create date|r
hs_lastmodifieddate|datetime|date|Last modified date|r
]],
  listings = [[
hs_name|string|text|Listing name
hs_price|number|number|Price
hs_address_1|string|text|Address
hs_city|string|text|City
hs_zip|string|text|Postal code
hs_listing_type|string|text|Listing type
hs_createdate|datetime|date|Create date|r
hs_lastmodifieddate|datetime|date|Last modified date|r
]],
  services = [[
hs_name|string|text|Service name
hs_description|string|textarea|Description
hs_start_date|date|date|Start date
hs_target_end_date|date|date|Target end date
hs_pipeline|string|text|Pipeline
hs_pipeline_stage|string|text|Stage
hs_createdate|datetime|date|Create date|r
hs_lastmodifieddate|datetime|date|Last modified date|r
]],
  projects = [[
hs_name|string|text|Project name
hs_description|string|textarea|Description
hs_pipeline|string|text|Pipeline
hs_pipeline_stage|string|text|Stage
hs_createdate|datetime|date|Create date|r
hs_lastmodifieddate|datetime|date|Last modified date|r
]],
}

-- What a record shows when no property was asked for.
local defaults = {
  contacts = "createdate email firstname hs_object_id lastmodifieddate lastname",
  companies = "createdate domain hs_lastmodifieddate hs_object_id name",
  deals = "amount closedate createdate dealname dealstage hs_lastmodifieddate hs_object_id pipeline",
  tickets = "content createdate hs_lastmodifieddate hs_object_id hs_pipeline hs_pipeline_stage hs_ticket_category " ..
    "hs_ticket_priority subject",
}

-- What HubSpot lets be associated: from, then for each other type its name, the unlabelled association type, its inverse,
-- and the primary one with its inverse where there is one.
local ASSOCIATED = {
  contacts = "contacts 449 449, companies 279 280 1 2, deals 4 3, tickets 15 16, calls 193 194, emails 197 198, meetings 199 200, " ..
    "notes 201 202, tasks 203 204, communications 82 81, postal_mail 454 453, carts 587 586, orders 508 507, invoices 178 177, " ..
    "commerce_payments 388 387, subscriptions 296 295, appointments 907 906, courses 861 860, listings 883 882, services 799 798, " ..
    "feedback_submissions 97 98, projects 1243 1242, quotes 70 69",
  companies = "companies 450 450, calls 181 182, emails 185 186, meetings 187 188, notes 189 190, tasks 191 192, " ..
    "communications 88 87, postal_mail 460 459, invoices 180 179, orders 935 934 510 509, commerce_payments 390 389, quotes 72 71, " ..
    "subscriptions 298 297, appointments 909 908, courses 939 938, listings 885 884, services 793 792, " ..
    "feedback_submissions 929 928, projects 1237 1236",
  deals = "deals 451 451, companies 341 342 5 6, tickets 27 28, line_items 19 20, calls 205 206, emails 209 210, meetings 211 212, " ..
    "notes 213 214, tasks 215 216, communications 86 85, postal_mail 458 457, goal_targets 1357 1356, carts 1346 1347, " ..
    "invoices 176 175, orders 511 512, commerce_payments 392 391, quotes 63 64, subscriptions 300 299, appointments 945 944, " ..
    "courses 863 862, listings 887 886, services 795 794, feedback_submissions 985 984, projects 1239 1238",
  tickets = "tickets 452 452, companies 339 340 26 25, calls 219 220, emails 223 224, meetings 225 226, notes 227 228, " ..
    "tasks 229 230, communications 84 83, postal_mail 456 455, orders 526 525, subscriptions 1122 1121, " ..
    "commerce_payments 1355 1354, appointments 947 946, courses 941 940, listings 943 942, services 797 796, " ..
    "feedback_submissions 99 100, projects 1241 1240",
  leads = "contacts 608 609 578 579, companies 610 611 580 581, deals 1037 1038 582 583, calls 596 597, emails 598 599, " ..
    "meetings 600 601, notes 854 855, tasks 646 647, communications 602 603, feedback_submissions 1162 1161",
  appointments = "calls 912 913, emails 916 917, meetings 918 919, notes 920 921, tasks 922 923, communications 924 925, " ..
    "postal_mail 926 927, projects 1325 1324",
  courses = "calls 866 867, emails 870 871, meetings 872 873, notes 874 875, tasks 876 877, communications 878 879, " ..
    "postal_mail 880 881, projects 1323 1322",
  listings = "calls 890 891, emails 894 895, meetings 896 897, notes 898 899, tasks 900 901, communications 902 903, " ..
    "postal_mail 904 905, projects 1321 1320",
  services = "calls 840 841, emails 842 843, meetings 838 839, notes 836 837, tasks 852 853, communications 846 847, " ..
    "postal_mail 848 849, projects 1245 1244",
  projects = "calls 1257 1258, emails 1259 1260, notes 1248 1249, tasks 1246 1247, communications 1281 1282, postal_mail 1263 1264",
  orders = "calls 772 773, emails 776 777, meetings 768 769, notes 764 765, tasks 726 727, communications 784 785, " ..
    "postal_mail 789 788, carts 593 592, line_items 513 514, discounts 519 520, invoices 518 517, commerce_payments 523 524, " ..
    "subscriptions 516 515, feedback_submissions 1168 1167",
  quotes = "line_items 67 68, discounts 362 361, fees 364 363, taxes 366 365, tasks 217 218, carts 733 732, invoices 408 407, " ..
    "orders 731 730, commerce_payments 398 397, subscriptions 304 303, feedback_submissions 1172 1171",
  invoices = "line_items 409 410, discounts 411 412, fees 413 414, taxes 415 416, commerce_payments 541 542, " ..
    "subscriptions 622 623, feedback_submissions 1160 1159",
  commerce_payments = "line_items 395 396, fees 1326 1327, feedback_submissions 1170 1169",
  carts = "line_items 590 591, discounts 588 589, feedback_submissions 1158 1157",
  line_items = "discounts 368 367, subscriptions 302 301",
  subscriptions = "feedback_submissions 1174 1173",
  calls = "feedback_submissions 1156 1155",
}

-- from, to, unlabelled type, its inverse, primary type and its inverse
local pairs_ = {}
for _, t in ipairs(types) do
  for item in (ASSOCIATED[t[2]] or ""):gmatch("[^,]+") do
    local name, ids = item:match("([%l_]+) (.*)")
    local pair = { t[2], name }
    for id in ids:gmatch("%d+") do pair[#pair + 1] = math.tointeger(tonumber(id)) end
    pairs_[#pairs_ + 1] = pair
  end
end

return { types = types, pairs = pairs_, lists = lists, common = common, properties = properties, defaults = defaults,
  dates = "hs_createdate|datetime|date|Create date|r\nhs_lastmodifieddate|datetime|date|Last modified date|r\n" }
