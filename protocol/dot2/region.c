/*
 * region.c: is a region within another (IEEE 1609.2 5.1.2.4, 6.4.17 to 6.4.25)?
 *
 * Exact for identified regions within identified regions, and for rectangles within one rectangle.
 * Between circles, rectangles and polygons: on a sphere, with a margin of half a percent for the
 * ellipsoid, so that what is close to the border is refused. Refused, although it may be within:
 * anything but the same octets in a polygon, a rectangle that only several rectangles cover
 * together, and an identified region within a drawn one or the other way round, because no border
 * of a country is known here.
 */
#include <math.h>
#include <string.h>

#include "protocol/dot2/internal.h"

#define EARTH_RADIUS 6371008.8 /* metres, mean */
#define MARGIN 1.005
#define UNIT (M_PI / 180 / 1e7) /* radians in a tenth of a microdegree */

/* ---- identified regions ---- */

static bool list8_has(const SequenceOfUint8_t *list, long value)
{
    for (int i = 0; i < list->list.count; i++) {
        if ((long)*list->list.array[i] == value)
            return true;
    }
    return false;
}

static bool list16_has(const SequenceOfUint16_t *list, long value)
{
    for (int i = 0; i < list->list.count; i++) {
        if ((long)*list->list.array[i] == value)
            return true;
    }
    return false;
}

static long country_of(const IdentifiedRegion_t *region)
{
    switch (region->present) {
    case IdentifiedRegion_PR_countryOnly:
        return (long)region->choice.countryOnly;
    case IdentifiedRegion_PR_countryAndRegions:
        return (long)region->choice.countryAndRegions.countryOnly;
    case IdentifiedRegion_PR_countryAndSubregions:
        return (long)region->choice.countryAndSubregions.country;
    default:
        return -1;
    }
}

/* Is all of this country in the list? */
static bool has_country(const SequenceOfIdentifiedRegion_t *outer, long country)
{
    for (int i = 0; i < outer->list.count; i++) {
        const IdentifiedRegion_t *region = outer->list.array[i];

        if (region->present == IdentifiedRegion_PR_countryOnly && country_of(region) == country)
            return true;
    }
    return false;
}

static bool has_region(const SequenceOfIdentifiedRegion_t *outer, long country, long number)
{
    if (has_country(outer, country))
        return true;
    for (int i = 0; i < outer->list.count; i++) {
        const IdentifiedRegion_t *region = outer->list.array[i];

        if (region->present == IdentifiedRegion_PR_countryAndRegions &&
            country_of(region) == country &&
            list8_has(&region->choice.countryAndRegions.regions, number))
            return true;
    }
    return false;
}

static bool has_subregion(const SequenceOfIdentifiedRegion_t *outer, long country, long number,
                          long subregion)
{
    if (has_region(outer, country, number))
        return true;
    for (int i = 0; i < outer->list.count; i++) {
        const IdentifiedRegion_t *region = outer->list.array[i];
        const SequenceOfRegionAndSubregions_t *list =
            &region->choice.countryAndSubregions.regionAndSubregions;

        if (region->present != IdentifiedRegion_PR_countryAndSubregions ||
            country_of(region) != country)
            continue;
        for (int j = 0; j < list->list.count; j++) {
            if ((long)list->list.array[j]->region == number &&
                list16_has(&list->list.array[j]->subregions, subregion))
                return true;
        }
    }
    return false;
}

static bool identified_within(const IdentifiedRegion_t *inner,
                              const SequenceOfIdentifiedRegion_t *outer)
{
    long country = country_of(inner);

    if (inner->present == IdentifiedRegion_PR_countryOnly)
        return has_country(outer, country);
    if (inner->present == IdentifiedRegion_PR_countryAndRegions) {
        const SequenceOfUint8_t *regions = &inner->choice.countryAndRegions.regions;

        for (int i = 0; i < regions->list.count; i++) {
            if (!has_region(outer, country, (long)*regions->list.array[i]))
                return false;
        }
        return true;
    }
    if (inner->present == IdentifiedRegion_PR_countryAndSubregions) {
        const SequenceOfRegionAndSubregions_t *list =
            &inner->choice.countryAndSubregions.regionAndSubregions;

        for (int i = 0; i < list->list.count; i++) {
            const RegionAndSubregions_t *entry = list->list.array[i];

            for (int j = 0; j < entry->subregions.list.count; j++) {
                if (!has_subregion(outer, country, (long)entry->region,
                                   (long)*entry->subregions.list.array[j]))
                    return false;
            }
            /* No subregion: the region as a whole. */
            if (entry->subregions.list.count == 0 &&
                !has_region(outer, country, (long)entry->region))
                return false;
        }
        return true;
    }
    return false;
}

/* ---- drawn regions ---- */

struct box { /* tenths of a microdegree */
    double north, south, west, east;
};

static bool is_known(const TwoDLocation_t *location)
{
    return location->latitude <= 900000000 && location->longitude <= 1800000000;
}

/* 6.4.19: north-west is north and west of south-east. None reaches over the 180th meridian. */
static bool box_of_rectangle(const RectangularRegion_t *rectangle, struct box *box)
{
    if (!is_known(&rectangle->northWest) || !is_known(&rectangle->southEast))
        return false;
    *box = (struct box){.north = (double)rectangle->northWest.latitude,
                        .west = (double)rectangle->northWest.longitude,
                        .south = (double)rectangle->southEast.latitude,
                        .east = (double)rectangle->southEast.longitude};
    return box->north > box->south && box->west < box->east;
}

/* A box around a circle; false near a pole or the 180th meridian. */
static bool box_of_circle(const CircularRegion_t *circle, struct box *box)
{
    double angle = (double)circle->radius * MARGIN / EARTH_RADIUS;
    double latitude = (double)circle->center.latitude * UNIT;
    double longitude = (double)circle->center.longitude * UNIT;
    double width = 0;

    if (!is_known(&circle->center) || fabs(latitude) + angle >= M_PI / 2)
        return false;
    width = asin(sin(angle) / cos(latitude)) * MARGIN;
    *box = (struct box){.north = (latitude + angle) / UNIT,
                        .south = (latitude - angle) / UNIT,
                        .west = (longitude - width) / UNIT,
                        .east = (longitude + width) / UNIT};
    return box->west > -1800000000.0 && box->east < 1800000000.0;
}

static bool box_of_polygon(const PolygonalRegion_t *polygon, struct box *box)
{
    double latitude = 0, bulge = 0;

    *box = (struct box){.north = -1e10, .south = 1e10, .west = 1e10, .east = -1e10};
    for (int i = 0; i < polygon->list.count; i++) {
        const TwoDLocation_t *point = polygon->list.array[i];

        if (!is_known(point))
            return false;
        box->north = fmax(box->north, (double)point->latitude);
        box->south = fmin(box->south, (double)point->latitude);
        box->west = fmin(box->west, (double)point->longitude);
        box->east = fmax(box->east, (double)point->longitude);
    }
    /* A wider one may go the other way round the earth. */
    if (polygon->list.count == 0 || box->east - box->west >= 1800000000.0)
        return false;
    /* Taken as a great circle, a side reaches nearer to the pole than its ends; most of all if it
     * is as long as the box is wide. */
    latitude = fmax(fabs(box->north), fabs(box->south)) * UNIT;
    if (latitude >= M_PI / 2)
        return false;
    bulge = (atan(tan(latitude) / cos((box->east - box->west) * UNIT / 2)) - latitude) / UNIT;
    box->north += bulge;
    box->south -= bulge;
    return true;
}

static bool box_within_box(const struct box *inner, const struct box *outer)
{
    return inner->north <= outer->north && inner->south >= outer->south &&
           inner->west >= outer->west && inner->east <= outer->east;
}

/* Metres between two points of the sphere, rounded up by the margin. */
static double distance(double latitude1, double longitude1, double latitude2, double longitude2)
{
    double a = sin((latitude2 - latitude1) * UNIT / 2);
    double b = sin((longitude2 - longitude1) * UNIT / 2);
    double h = a * a + cos(latitude1 * UNIT) * cos(latitude2 * UNIT) * b * b;

    return 2 * EARTH_RADIUS * asin(fmin(1, sqrt(h))) * MARGIN;
}

/*
 * The point of a box that is farthest from a point is a corner, as long as the box is small beside
 * the earth: along a parallel the distance grows with the difference of longitude, along a meridian
 * it has no maximum between its ends.
 */
static bool box_within_circle(const struct box *inner, const CircularRegion_t *circle)
{
    double latitude = (double)circle->center.latitude;
    double longitude = (double)circle->center.longitude;
    double radius = (double)circle->radius;

    if (!is_known(&circle->center) || inner->east - inner->west > 900000000.0)
        return false;
    return distance(latitude, longitude, inner->north, inner->west) <= radius &&
           distance(latitude, longitude, inner->north, inner->east) <= radius &&
           distance(latitude, longitude, inner->south, inner->west) <= radius &&
           distance(latitude, longitude, inner->south, inner->east) <= radius;
}

static bool circle_within_circle(const CircularRegion_t *inner, const CircularRegion_t *outer)
{
    if (!is_known(&inner->center) || !is_known(&outer->center))
        return false;
    return distance((double)inner->center.latitude, (double)inner->center.longitude,
                    (double)outer->center.latitude, (double)outer->center.longitude) +
               (double)inner->radius <=
           (double)outer->radius;
}

static bool box_within(const struct box *inner, const GeographicRegion_t *outer)
{
    const SequenceOfRectangularRegion_t *list = &outer->choice.rectangularRegion;
    struct box box;

    if (outer->present == GeographicRegion_PR_circularRegion)
        return box_within_circle(inner, &outer->choice.circularRegion);
    if (outer->present != GeographicRegion_PR_rectangularRegion)
        return false;
    for (int i = 0; i < list->list.count; i++) {
        if (box_of_rectangle(list->list.array[i], &box) && box_within_box(inner, &box))
            return true;
    }
    return false;
}

static bool same_octets(const GeographicRegion_t *a, const GeographicRegion_t *b)
{
    struct coer_span one = {0}, other = {0};

    return coer_span_of(&asn_DEF_GeographicRegion, a, &one) &&
           coer_span_of(&asn_DEF_GeographicRegion, b, &other) && one.size == other.size &&
           memcmp(one.data, other.data, one.size) == 0;
}

bool dot2_region_within(const GeographicRegion_t *inner, const GeographicRegion_t *outer)
{
    struct box box;

    if (same_octets(inner, outer))
        return true;
    switch (inner->present) {
    case GeographicRegion_PR_identifiedRegion:
        if (outer->present != GeographicRegion_PR_identifiedRegion)
            return false;
        for (int i = 0; i < inner->choice.identifiedRegion.list.count; i++) {
            if (!identified_within(inner->choice.identifiedRegion.list.array[i],
                                   &outer->choice.identifiedRegion))
                return false;
        }
        return true;
    case GeographicRegion_PR_circularRegion:
        if (outer->present == GeographicRegion_PR_circularRegion)
            return circle_within_circle(&inner->choice.circularRegion,
                                        &outer->choice.circularRegion);
        return box_of_circle(&inner->choice.circularRegion, &box) && box_within(&box, outer);
    case GeographicRegion_PR_rectangularRegion:
        for (int i = 0; i < inner->choice.rectangularRegion.list.count; i++) {
            if (!box_of_rectangle(inner->choice.rectangularRegion.list.array[i], &box) ||
                !box_within(&box, outer))
                return false;
        }
        return true;
    case GeographicRegion_PR_polygonalRegion:
        return box_of_polygon(&inner->choice.polygonalRegion, &box) && box_within(&box, outer);
    default:
        return false;
    }
}
