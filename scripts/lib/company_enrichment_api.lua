-- Stands in for the data provider of company_enrichment.lua: knows every domain but those that begin with "un".
return function(request)
  local domain = request.url:match "[?&]domain=([%w.-]+)"
  if not domain then return 400 end
  if domain:match "^un" then return 404 end
  return { json = { name = domain:match "^[^.]+", city = "Berlin", country = "Germany", employees = 10 * #domain, industry = "software" } }
end
